"""The one interface between a benchmark and the loop that runs it.

An episode does not depend on a model, nor a model on a benchmark. A benchmark implements `Task`, `World`,
`Episode` and `Oracle`; `docs/adding-a-task.md` walks through it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import fields, is_dataclass
from typing import Any, Protocol, cast

from harness.types import (
    Capacity,
    Chat,
    Context,
    JudgeAsk,
    Need,
    NoOptions,
    Observation,
    Oracle,
    Pending,
    Reply,
    Row,
    Sample,
    Score,
    TaskConfig,
    TaskSpec,
    Verdict,
    metric_means,
)


class Episode(Protocol):
    """One attempt at one sample.

    Any exception is an infrastructure failure, never a score: `EnvironmentFault` makes the loop build
    the episode anew and replay the replies so far, anything else ends it as `infra_error`.
    """

    async def reset(self) -> Observation:
        """Start, and return what the model sees first; may be done already."""
        ...

    async def step(self, reply: Reply) -> Observation:
        """Act on the model's reply. No text may make this raise."""
        ...

    async def score(self) -> Score | Pending:
        """Value the episode; may be called early (limits), even before any step. After it only `close`."""
        ...

    async def close(self) -> None:
        """Release everything: no process, container, page, port or temp dir stays. Idempotent."""
        ...


class World(Protocol):
    """What episodes of one task share for a run: a JVM pool, a browser, a server, a catalogue."""

    @property
    def capacity(self) -> Capacity:
        """Memory and CPU per live episode, for admission control."""
        ...

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """Versions and hashes of the real parts (jar, browser, grammar, root file system)."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks that a reader needs to judge the score; printed under every table."""
        ...

    @property
    def stand_ins(self) -> tuple[str, ...]:
        """What replaces a real part; a score with any is not comparable with the published one."""
        ...

    @property
    def comparable(self) -> str:
        """Why this world's scores are not comparable with the published ones; empty when they are."""
        ...

    @property
    def replayable(self) -> bool:
        """Whether an episode can be built anew and its replies played again after a fault.

        Where acting twice does harm (a shop would order twice) it is False: the fault then ends the
        attempt, and `restore` is awaited before another one.
        """
        ...

    async def episode(self, sample: Sample, chats: Mapping[str, Chat], seed: int) -> Episode:
        """Build an episode.

        Args:
            sample: what to play.
            chats: the auxiliary models that are bound, by role; they belong to this attempt.
            seed: of everything random; the same sample and seed give the same instance again.
        """
        ...

    async def restore(self, sample: Sample) -> str:
        """Undo what an attempt that broke off may have left; only for worlds that are not replayable.

        Returns:
            What was done, for the next attempt's note.
        """
        ...


class BaseWorld:
    """The parts of `World` that most worlds share."""

    capacity: Capacity = Capacity()
    fingerprint: Mapping[str, str] = {}
    notes: tuple[str, ...] = ()
    stand_ins: tuple[str, ...] = ()
    comparable: str = ""
    replayable: bool = True

    async def restore(self, sample: Sample) -> str:
        """Nothing to undo."""
        del sample
        return ""


class BaseOracle:
    """An oracle that plays no auxiliary role."""

    async def role_reply(self, role: str, prompt: str) -> str:
        """Refuse."""
        raise NotImplementedError(f"the oracle does not play the role {role}")


class Task(Protocol):
    """A benchmark."""

    spec: TaskSpec

    Options: type[Any]
    """A frozen dataclass whose fields are declared with `harness.types.option`."""

    def needs(self, cfg: TaskConfig) -> Sequence[Need]:
        """What this configuration needs in addition to the data: programs, packages, keys, roles.

        `harness doctor`, `run` and `judge` all ask this, so that they agree.
        """
        ...

    def samples(self, cfg: TaskConfig) -> Sequence[Sample]:
        """All samples of the split in their canonical order with stable ids; cheap, starts nothing."""
        ...

    def world(self, ctx: Context) -> AbstractAsyncContextManager[World]:
        """Open what episodes share; closed after the task's last episode."""
        ...

    def oracle(self, ctx: Context, sample: Sample) -> Oracle:
        """Build an oracle for one attempt at the sample."""
        ...

    def history(self, cfg: TaskConfig) -> str:
        """Name the history policy in force under these options."""
        ...

    def accepts(self, ask: JudgeAsk, text: str) -> bool:
        """Whether a judge's verdict can be used; if not, the judge is asked once more."""
        ...

    def resolve(self, ctx: Context, pending: Pending, verdicts: Sequence[Verdict]) -> Score:
        """Turn a judge's verdicts into a score (judged tasks only)."""
        ...

    def aggregate(self, rows: Sequence[Row]) -> Mapping[str, float]:
        """Reduce rows to numbers in the scale of `Score.value`; the key `spec.metric` holds the headline."""
        ...

    def old_labels(self, sample: str, metrics: Mapping[str, float]) -> Mapping[str, str]:
        """Labels of a row that was stored before labels were: read from its sample id and metrics."""
        ...

    def leaked(self, row: Row) -> bool:
        """Whether the prompt of this episode already held its question or its answer."""
        ...

    def asked(self, sample: Sample) -> str:
        """The text of a sample's question, which `harness contamination` looks for in training files.

        Empty where the question is known only when the sample is played.
        """
        ...


class BaseTask:
    """The parts of `Task` that most benchmarks share."""

    spec: TaskSpec
    Options: type[Any] = NoOptions

    def needs(self, cfg: TaskConfig) -> Sequence[Need]:
        """Nothing in addition to the data."""
        del cfg
        return ()

    def history(self, cfg: TaskConfig) -> str:
        """Take the policy named in the spec."""
        del cfg
        return self.spec.history

    def accepts(self, ask: JudgeAsk, text: str) -> bool:
        """Take every verdict."""
        del ask, text
        return True

    def resolve(self, ctx: Context, pending: Pending, verdicts: Sequence[Verdict]) -> Score:
        """Refuse: only judged tasks have verdicts."""
        raise NotImplementedError(f"{self.spec.name} is not judged")

    def aggregate(self, rows: Sequence[Row]) -> Mapping[str, float]:
        """The headline, and each metric's mean over the rows that carry it."""
        if not rows:
            return {}
        return {**metric_means(rows), self.spec.metric: self.spec.headline(rows)}

    def old_labels(self, sample: str, metrics: Mapping[str, float]) -> Mapping[str, str]:
        """No labels."""
        del sample, metrics
        return {}

    def leaked(self, row: Row) -> bool:
        """Read it from the metric `exemplar_leak`."""
        return bool(row.metrics.get("exemplar_leak"))

    def asked(self, sample: Sample) -> str:
        """The text under `question` in the sample's data, or all texts in it when that key is missing."""
        question = sample.data.get("question")
        return question if isinstance(question, str) else "\n".join(_texts(sample.data))


def _texts(value: object) -> Iterator[str]:
    """Every text within a value, those of a dataclass's fields as well."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in cast("Mapping[object, object]", value).values():
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in cast("Sequence[object]", value):
            yield from _texts(part)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _texts(getattr(value, field.name))
