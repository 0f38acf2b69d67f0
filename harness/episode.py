"""The one interface between a benchmark and the loop that runs it.

An episode knows no model, the model knows no benchmark. A benchmark implements `Task`, `World`,
`Episode` and `Oracle`; `docs/adding-a-task.md` walks through it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from harness.types import (
    Capacity,
    Context,
    Observation,
    Pending,
    Reply,
    Row,
    Sample,
    Score,
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
        """Act on the model's reply. Whatever the text is, this must not raise because of it."""
        ...

    async def score(self) -> Score | Pending:
        """Value the episode; may be called early (limits), even before any step. After it only `close`."""
        ...

    async def close(self) -> None:
        """Release everything: no process, container, page, port or temp dir stays. Idempotent."""
        ...


class World(Protocol):
    """What episodes of one task share for a run: a JVM pool, a browser, a server, a catalogue."""

    capacity: Capacity
    """Memory and CPU per live episode, for admission control."""

    fingerprint: Mapping[str, str]
    """Versions and hashes of the real parts (jar, browser, grammar, root file system) for the manifest."""

    async def episode(self, sample: Sample, repeat: int, seed: int) -> Episode:
        """Build an episode; the same arguments give the same instance again."""
        ...


class Oracle(Protocol):
    """Plays a sample as well as it can be played; stateful, one per attempt."""

    def reply(self, observation: Observation) -> str:
        """Answer; may read `observation.info`. For `Ask.choices` return the chosen string."""
        ...


class Task(Protocol):
    """A benchmark."""

    spec: TaskSpec

    def samples(self, ctx: Context, split: str) -> Sequence[Sample]:
        """All samples in their canonical order with stable ids; cheap, starts no environment."""
        ...

    def world(self, ctx: Context) -> AbstractAsyncContextManager[World]:
        """Open what episodes share; closed after the task's last episode."""
        ...

    def preflight(self, ctx: Context) -> None:
        """Refuse options, keys or roles that cannot work, before anything is sent.

        `ctx.models` names the bound roles; none of them can be asked yet.

        Raises:
            MissingPart: something is missing; every line names its fix.
        """
        ...

    def oracle(self, ctx: Context, sample: Sample) -> Oracle:
        """Build an oracle for one attempt at the sample."""
        ...

    def history(self, ctx: Context) -> str:
        """Name the history policy in force under these options."""
        ...

    def resolve(self, ctx: Context, pending: Pending, verdicts: Sequence[Verdict]) -> Score:
        """Turn a judge's verdicts into a score (judged tasks only)."""
        ...

    def aggregate(self, rows: Sequence[Row]) -> Mapping[str, float]:
        """Reduce rows to numbers in the scale of `Score.value`; the headline stands under `spec.metric`."""
        ...

    def old_labels(self, sample: str, metrics: Mapping[str, float]) -> Mapping[str, str]:
        """Labels of a row that was stored before labels were: read from its sample id and metrics."""
        ...


class BaseTask:
    """The parts of `Task` that most benchmarks share."""

    spec: TaskSpec

    def preflight(self, ctx: Context) -> None:
        """Nothing to check beyond needs and data."""

    def history(self, ctx: Context) -> str:
        """Take the policy named in the spec."""
        del ctx
        return self.spec.history

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
