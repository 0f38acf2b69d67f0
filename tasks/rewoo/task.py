"""ReWOO as AgentTuning evaluates it: plan once, call tools, solve once; seven data sets of fifty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from statistics import fmean

from harness.episode import BaseTask, Oracle, World
from harness.errors import InfraError
from harness.needs import package
from harness.types import Context, Limits, Option, Pending, Row, Sample, Score, TaskSpec, Verdict
from tasks._shared.wiki.opening import options

_MODES = ("auto", "live", "cache", "record", "replay", "keyless")
_OPTIONS = (
    *options(mode="tools", default="auto", choices=_MODES),
    Option(
        "grader",
        str,
        "auto",
        "auto",
        "who says what is right (auto: the judge; on the fixture the rule)",
        choices=("auto", "judge", "rule"),
    ),
    Option("grammar", str, "paper", "fixed", "how plans are read", choices=("paper", "fixed")),
    Option(
        "google",
        str,
        "auto",
        "auto",
        "the Google tool",
        choices=("auto", "serper", "unavailable"),
    ),
    Option(
        "google_endpoint",
        str,
        "https://google.serper.dev/search",
        "https://google.serper.dev/search",
        "Serper",
    ),
    Option(
        "wolfram",
        str,
        "auto",
        "auto",
        "the WolframAlpha tool",
        choices=("auto", "api", "algebra"),
    ),
    Option(
        "wolfram_endpoint",
        str,
        "https://api.wolframalpha.com/v2/query",
        "https://api.wolframalpha.com/v2/query",
        "WolframAlpha's full-results API",
    ),
    Option("calculator", str, "llm", "llm", "who writes expressions", choices=("llm", "direct")),
    Option("max_tool_calls", int, 16, 16, "tool calls per episode; upstream's grammar allows ten"),
    Option("parallel", bool, True, True, "run independent calls side by side"),
    Option(
        "long_prompts",
        str,
        "truncate",
        "trim",
        "the server cuts on the left, or the longest evidence is trimmed",
        choices=("truncate", "trim"),
    ),
)


class Rewoo(BaseTask):
    spec = TaskSpec(
        name="rewoo",
        version=1,
        suite="held-out",
        metric="accuracy",
        limits=Limits(turns=2, reset_s=600.0, step_s=1200.0, episode_s=7200.0),
        needs=(package("numexpr", extra="wiki"),),
        options=_OPTIONS,
        roles=("tool_llm", "judge"),
        paper_judge="text-davinci-003",
        expected_turns=2,
        # Graded by rule, which finds every gold answer right.
        ceiling={
            (profile, source): 100.0 for profile in ("paper", "fixed") for source in ("mirror", "fixture")
        },
        paper_n=350,
    )

    def samples(self, ctx: Context, split: str) -> Sequence[Sample]:
        del split
        from tasks.rewoo.rows import samples

        return samples(ctx.data)

    def preflight(self, ctx: Context) -> None:
        """Name missing keys and roles before anything is sent."""
        from tasks.rewoo.toolbox import check

        check(ctx)

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
        return Score(value, metrics, str(item.info["note"]), outcome=pending.outcome)

    def aggregate(self, rows: Sequence[Row]) -> Mapping[str, float]:
        """Accuracy over all episodes; beside it each data set, their mean, and the score without leaks."""
        if not rows:
            return {}
        means = super().aggregate(rows)
        clean = [row.value for row in rows if not row.metrics.get("exemplar_leak")]
        names = dict.fromkeys(row.sample.split("/", 1)[0] for row in rows)
        sets = {
            name: fmean(row.value for row in rows if row.sample.split("/", 1)[0] == name) for name in names
        }
        # A report shows the first few of these.
        first = {
            key: means[key] for key in ("rule_accuracy", "fallback_calls", "snapshot_miss") if key in means
        }
        if clean:
            first["accuracy_without_leak"] = fmean(clean)
        first |= {"accuracy_macro": fmean(sets.values()), "datasets": float(len(sets))}
        return {**first, **{f"accuracy_{name}": value for name, value in sets.items()}, **means}


TASK = Rewoo()
