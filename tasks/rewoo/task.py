"""ReWOO as AgentTuning evaluates it: plan once, call tools, solve once; seven data sets of fifty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from statistics import fmean

from harness.episode import BaseTask, Oracle, World
from harness.errors import InfraError
from harness.needs import Need, package
from harness.types import (
    Context,
    Limits,
    Pending,
    Row,
    Sample,
    Score,
    TaskConfig,
    TaskSpec,
    Verdict,
    by,
    option,
)
from tasks._shared.wiki.opening import WebOptions


@dataclass(frozen=True, slots=True)
class RewooOptions(WebOptions):
    """Where tools get their answers, how plans are read, and who grades."""

    tools: str = option(
        "auto",
        help="where answers come from",
        choices=("auto", "live", "cache", "record", "replay", "keyless"),
    )
    grader: str = option(
        "auto",
        help="who grades (auto: the judge; on the fixture the rule)",
        choices=("auto", "judge", "rule"),
    )
    grammar: str = option("paper", "fixed", help="how plans are read", choices=("paper", "fixed"))
    google: str = option("auto", help="the Google tool", choices=("auto", "serper", "unavailable"))
    google_endpoint: str = option("https://google.serper.dev/search", help="Serper")
    wolfram: str = option("auto", help="the WolframAlpha tool", choices=("auto", "api", "algebra"))
    wolfram_endpoint: str = option(
        "https://api.wolframalpha.com/v2/query", help="WolframAlpha's full-results API"
    )
    calculator: str = option(
        "llm", help="who writes the expressions (direct: the plan itself)", choices=("llm", "direct")
    )
    max_tool_calls: int = option(
        16, help="tool calls per episode; upstream's grammar allows ten", ge=0, le=1000
    )
    parallel: bool = option(True, help="run independent calls side by side")
    long_prompts: str = option(
        "truncate",
        "trim",
        help="the server cuts on the left, or the longest evidence is trimmed",
        choices=("truncate", "trim"),
    )


class Rewoo(BaseTask):
    """Questions of seven data sets: plan first, call tools, then solve."""

    spec = TaskSpec(
        name="rewoo",
        version=2,
        suite="held-out",
        metric="accuracy",
        limits=Limits(turns=2, reset_s=600.0, step_s=1200.0, episode_s=7200.0),
        roles=("tool_llm", "judge"),
        paper_judge="text-davinci-003",
        expected_turns=2,
        # Graded by rule, by which every gold answer is right.
        ceiling={
            (profile, source): 100.0 for profile in ("paper", "fixed") for source in ("mirror", "fixture")
        },
        paper_n=350,
        shares=(
            "rule_accuracy",
            "accuracy_*",
            "em",
            "f1",
            "plan_error",
            "tool_error",
            "truncated",
            "snapshot_miss",
            "exemplar_leak",
        ),
    )

    Options = RewooOptions

    def needs(self, cfg: TaskConfig) -> Sequence[Need]:
        """What the tools need: keys, roles, a snapshot."""
        from tasks.rewoo.toolbox import tool_needs

        return (package("numexpr", extra="wiki"), *tool_needs(cfg))

    def samples(self, cfg: TaskConfig) -> Sequence[Sample]:
        from tasks.rewoo.rows import samples

        return samples(cfg.data)

    def world(self, ctx: Context) -> AbstractAsyncContextManager[World]:
        from tasks.rewoo.world import open_world

        return open_world(ctx)

    def oracle(self, ctx: Context, sample: Sample) -> Oracle:
        del ctx
        from tasks.rewoo.oracle import RewooOracle

        return RewooOracle(sample)

    def resolve(self, ctx: Context, pending: Pending, verdicts: Sequence[Verdict]) -> Score:
        """Read the judge's verdicts; several of one judge are averaged."""
        from tasks.rewoo.score import verdict_fixed, verdict_paper

        texts = [verdict.text for verdict in verdicts if verdict.key == "grade"]
        if not texts:
            raise InfraError("the judge gave no verdict on this answer")
        item = pending.items[0]
        tolerant = [verdict_fixed(text) for text in texts]
        paper = fmean(verdict_paper(text) for text in texts)
        fixed = fmean(bool(verdict) for verdict in tolerant)
        unread = fmean(verdict is None for verdict in tolerant)
        metrics = {**item.info["metrics"], "paper": paper, "fixed": fixed, "verdict_unread": unread}
        value = fixed if ctx.profile == "fixed" else paper
        known = pending.partial or Score(0.0)
        note = str(item.info["note"])
        return Score(value, metrics, note, pending.outcome, answer=known.answer, target=known.target)

    def old_labels(self, sample: str, metrics: Mapping[str, float]) -> Mapping[str, str]:
        del metrics
        return {"dataset": sample.partition("/")[0]}

    def aggregate(self, rows: Sequence[Row]) -> Mapping[str, float]:
        """Accuracy over all episodes; beside it each data set, their mean, and the score without leaks."""
        if not rows:
            return {}
        means = super().aggregate(rows)
        clean = [row.value for row in rows if not self.leaked(row)]
        sets = by(rows, "dataset")
        # A report shows the first few of these.
        first = {
            key: means[key] for key in ("rule_accuracy", "fallback_calls", "snapshot_miss") if key in means
        }
        if clean:
            first["accuracy_without_leak"] = fmean(clean)
        first |= {"accuracy_macro": fmean(sets.values()), "datasets": float(len(sets))}
        return {**first, **{f"accuracy_{name}": value for name, value in sets.items()}, **means}


TASK = Rewoo()
