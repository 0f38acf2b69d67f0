"""Plays the episodes of one task of a run: opens its world, and restores what broken attempts left in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from harness.episode import World
from harness.history import vocabulary, window_notice
from harness.models.api import LiveEpisodes, Model
from harness.running.activity import Activity
from harness.running.contexts import context
from harness.running.plan import TaskPlan
from harness.running.queue import PlannedEpisode
from harness.running.request import RunRequest
from harness.running.rollout import run_episode
from harness.running.task_run import TaskRun
from harness.storage.store import Attempt, EpisodeKey

RESTORE_S = 1800.0
"""Longest a world may take to undo what a broken attempt left."""


@dataclass(slots=True)
class OpenModels:
    """The models of a run while it plays.

    Attributes:
        tested: the model under test.
        live: where the oracles of live episodes are left for the server that answers in their place.
        roles: the bound auxiliary models.
    """

    tested: Model
    live: LiveEpisodes
    roles: dict[str, Model] = field(default_factory=dict[str, Model])


class Record(Protocol):
    """Where a player records things other than attempts, such as a run's `Store`."""

    def set_meta(self, key: str, value: Any) -> None:
        """Keep what a world says of itself."""
        ...

    def begun(self, item: EpisodeKey) -> bool:
        """Whether an attempt at an item may have touched its environment."""
        ...

    def begin(self, item: EpisodeKey) -> None:
        """Record, before the environment is touched, that an attempt begins."""
        ...


class TaskPlayer:
    """One task of a run.

    Args:
        plan: the task's part of the run's plan.
        request: what the user asked for.
        models: open as long as the task is played.
        record: the run's store, open for writing, or what passes on to it.
        work: the task's scratch folder, which is made.
    """

    def __init__(
        self, plan: TaskPlan, request: RunRequest, models: OpenModels, record: Record, work: Path
    ) -> None:
        self._plan, self._request, self._models, self._record = plan, request, models, record
        self._ctx = context(plan.cfg, work)
        self._history = plan.task.history(self._ctx)
        self._notice = window_notice(self._history, self._ctx)
        self._vocabulary = vocabulary(self._history, self._ctx)
        self._run: TaskRun | None = None

    @asynccontextmanager
    async def world(self) -> AsyncGenerator[World]:
        """Open the task's world and record what it says of itself."""
        name = self._plan.spec.name
        async with self._plan.task.world(self._ctx) as world:
            self._record.set_meta(f"fingerprint/{name}", dict(world.fingerprint))
            told = {"notes": world.notes, "stand_ins": world.stand_ins, "comparable": world.comparable}
            self._record.set_meta(f"world/{name}", told)
            self._run = self._task_run(world)
            yield world

    def _task_run(self, world: World) -> TaskRun:
        task, ctx, models = self._plan.task, self._ctx, self._request.models
        return TaskRun(
            spec=self._plan.spec,
            world=world,
            model=self._models.tested,
            live=self._models.live,
            oracle=(lambda sample: task.oracle(ctx, sample)) if models.model == "oracle" else None,
            roles=self._models.roles,
            history=self._history,
            notice=self._notice,
            vocabulary=self._vocabulary,
            profile=self._request.workload.profile,
            decoding=models.decoding,
            sampling=models.sampling,
            seed=self._request.workload.seed,
            deadline_s=models.deadline_s,
        )

    async def play(self, planned: PlannedEpisode, activity: Activity) -> Attempt:
        """Play an episode in the open world; the attempt is not stored yet."""
        if (run := self._run) is None:
            raise RuntimeError(f"{self._plan.spec.name}: an episode is played in an open world only")
        restored = "" if run.world.replayable else await self._restore(run, planned, activity)
        if isinstance(restored, Attempt):
            return restored
        attempt = await run_episode(run, planned.sample, planned.repeat, activity)
        attempt.note = "; ".join(part for part in (restored, attempt.note) if part)
        return attempt

    async def _restore(self, run: TaskRun, planned: PlannedEpisode, activity: Activity) -> str | Attempt:
        """Before another attempt in a world that cannot replay: undo what the one before may have left.

        Returns:
            What was done, or the attempt that could not be made because it failed.
        """
        spec = run.spec
        key = self._plan.key(planned.sample, planned.repeat)
        if not self._record.begun(key):
            self._record.begin(key)
            return ""
        activity.enter("restore")
        try:
            async with asyncio.timeout(RESTORE_S):
                return await run.world.restore(planned.sample) or "restored before this attempt"
        except Exception as error:
            why = f"EnvironmentFault: the world could not be restored: {error!r}"
            return Attempt(spec.name, spec.version, planned.sample.id, planned.repeat, error=why)
