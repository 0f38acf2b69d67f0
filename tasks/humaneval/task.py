"""HumanEval (Chen et al., 2021), greedy, one try per problem unless `--repeats` asks for more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from harness.authoring import SingleTurn, jsonl, pass_at_1, pass_rates
from harness.episode import Episode, World
from harness.needs import Need
from harness.types import (
    Context,
    Limits,
    Observation,
    Reply,
    Row,
    Sample,
    Score,
    TaskConfig,
    TaskSpec,
    option,
)
from tasks._shared.sandbox.need import sandbox_need
from tasks.humaneval.action import chat_program, completion_program
from tasks.humaneval.prompts import Mode, asked
from tasks.humaneval.world import HumanEvalWorld, images, open_world

SANDBOX_FIX = "apt-get install -y --no-install-recommends bubblewrap"

FILE = Path("data/HumanEval.jsonl.gz")
ROW = {"task_id": str, "prompt": str, "canonical_solution": str, "test": str, "entry_point": str}


@dataclass(frozen=True, slots=True)
class HumanEvalOptions:
    """How programs are asked for, and how they are run."""

    mode: str = option(
        "auto",
        help="continue the raw prompt, or answer as a chat (auto: where the endpoint knows only chats)",
        choices=("auto", "completion", "chat"),
    )
    timeout_s: float = option(10.0, help="seconds a program may take", ge=0.1, le=600)
    pad_indent: bool = option(True, help="give a body indented by three spaces its fourth")
    sandbox: str = option(
        "auto", help="where programs run", choices=("auto", "bwrap", "bwrap-user", "docker", "podman")
    )


@dataclass(frozen=True, slots=True)
class HumanEvalShared:
    """What programs are judged by, and how they are asked for."""

    world: HumanEvalWorld
    mode: Mode
    pad_indent: bool


def mode(cfg: TaskConfig) -> Mode:
    """How programs are asked for; `auto` follows the kind of endpoint."""
    if cfg.options.mode == "auto":
        return "chat" if cfg.chat_only else "completion"
    return cfg.options.mode


class HumanEval(SingleTurn):
    """Functions from docstrings."""

    spec = TaskSpec(
        name="humaneval",
        version=2,
        suite="general",
        metric="pass@1",
        limits=Limits(step_s=180.0),
        headline=pass_at_1,
        ceiling={
            ("paper", "mirror"): 100.0,
            ("fixed", "mirror"): 100.0,
            ("paper", "fixture"): 100.0,
            ("fixed", "fixture"): 100.0,
        },
        paper_n=164,
    )

    Options = HumanEvalOptions

    def needs(self, cfg: TaskConfig) -> Sequence[Need]:
        refused = cfg.chat_only and cfg.options.mode == "completion"
        raw = Need(
            "endpoint",
            lambda: "a chat endpoint cannot continue a raw prompt" if refused else None,
            "leave humaneval.mode at auto, or give an endpoint of another kind (NAME@openai)",
        )
        return (sandbox_need(images, cfg.options.sandbox, SANDBOX_FIX), raw)

    def samples(self, cfg: TaskConfig) -> Sequence[Sample]:
        return [Sample(row["task_id"], row) for row in jsonl(cfg.data / FILE, fields=ROW)]

    def asked(self, sample: Sample) -> str:
        return sample.data["prompt"]

    def world(self, ctx: Context) -> AbstractAsyncContextManager[World]:
        options: HumanEvalOptions = ctx.options

        def build(sample: Sample, world: HumanEvalWorld) -> Episode:
            return self.episode(sample, HumanEvalShared(world, mode(ctx), options.pad_indent))

        return open_world(options.sandbox, options.timeout_s, build)

    def question(self, sample: Sample, shared: HumanEvalShared) -> Observation:
        return asked(sample.data["prompt"], shared.mode)

    async def value(self, sample: Sample, reply: Reply, shared: HumanEvalShared) -> Score:
        if shared.mode == "chat":
            program = chat_program(sample.data, reply.text)
        else:
            program = completion_program(sample.data, reply.text, pad_indent=shared.pad_indent)
        verdict = await shared.world.judge(program)
        answer = program.code.removeprefix(sample.data["prompt"]).strip()
        target = sample.data["canonical_solution"].strip()
        return Score(float(verdict.passed), note=verdict.reason, answer=answer, target=target)

    async def unanswered(self, sample: Sample, shared: HumanEvalShared) -> Score:
        return Score(0.0, note="no reply")

    def info(self, score: Score) -> Mapping[str, str]:
        return {"reason": score.note}

    def gold(self, sample: Sample, asked: Observation) -> str:
        """The canonical body; in chat mode the whole function, fenced."""
        solution = sample.data["canonical_solution"]
        return solution if asked.raw is not None else f"```python\n{sample.data['prompt']}{solution}\n```"

    def aggregate(self, rows: Sequence[Row]) -> Mapping[str, float]:
        """pass@k for every k that each problem has enough tries for; pass@1 is the headline."""
        return pass_rates(rows)


TASK = HumanEval()
