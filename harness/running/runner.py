"""Carries a plan out: resumes what is stored, plays the rest, commits every attempt as it ends."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.episode import World
from harness.errors import StoreError, cause
from harness.models.api import LiveEpisodes, Model
from harness.models.roles import open_role, parse_role
from harness.needs import window_notice
from harness.running.activity import Activity
from harness.running.heartbeat import heartbeat
from harness.running.judge import CONCURRENCY
from harness.running.judging import JudgeRequest, context, judge_stage
from harness.running.plan import Plan, TaskPlan
from harness.running.progress import Progress
from harness.running.queue import PlannedEpisode, PlannedEpisodes, ordered
from harness.running.resume import plain_json, remaining_items
from harness.running.retry_policy import Failures
from harness.running.rollout import TaskRun, run_episode
from harness.running.run_model import live_bound, open_tested
from harness.running.scheduler import Budget, Scheduler, TaskQueue
from harness.running.scratch import scratch
from harness.running.signals import Signals
from harness.running.site_locks import SiteLocks
from harness.running.summary import Summary
from harness.storage.completeness import incomplete_tasks
from harness.storage.store import Attempt, EpisodeKey, Store
from harness.types import Context

log = logging.getLogger(__name__)

RESTORE_S = 1800.0
"""Longest a world may take to undo what a broken attempt left."""


class Runner:
    """One command's run of one plan."""

    def __init__(self, plan: Plan, store: Store, directory: Path, progress: Progress) -> None:
        self.plan, self.store, self.progress = plan, store, progress
        self.summary = Summary(directory)
        self.live = LiveEpisodes()
        self.scheduler: Scheduler | None = None
        self._failures = Failures()
        self._lanes: dict[str, TaskQueue] = {}
        self._traits: dict[str, set[str]] = {}
        self._private = {task.spec.name: task.spec.private for task in plan.tasks}
        self.roles: dict[str, Model] = {}
        self._ends: float | None = None

    async def run(self) -> Summary:
        """Play what is left of the plan."""
        limit = self.plan.request.time_limit_s
        self._ends = None if limit is None else asyncio.get_running_loop().time() + limit
        remaining = remaining_items(self.plan, self.store)
        self.summary.already = not remaining
        with scratch("harness-run-") as folder:
            if remaining:
                await self._answer(remaining, folder / "play")
            self.summary.incomplete = incomplete_tasks(self.store)
            if self.plan.request.judge and not self.summary.interrupted and not self.summary.incomplete:
                await self._judge(self.plan.request.judge, folder / "judge")
        return self.summary

    async def _answer(self, remaining: set[EpisodeKey], work: Path) -> None:
        """Open the model and its roles, and play."""
        async with AsyncExitStack() as stack:
            model = await stack.enter_async_context(open_tested(self.plan.request, self.live))
            self.store.set_meta("model", plain_json(dict(model.info)))
            for role in map(parse_role, self.plan.request.roles):
                opened = open_role(role, tested=model, live=self.live, profile=self.plan.request.profile)
                self.roles[role.role] = await stack.enter_async_context(opened)
            await self._play(model, remaining, work)

    async def _judge(self, judge: str, work: Path) -> None:
        """Value what waits for the judge, if anything does."""
        if not any(a.pending is not None for a in self.store.attempts(final_only=True)):
            log.warning("nothing in this run waits for the judge")
            return
        request = self.plan.request
        asked = JudgeRequest(judge, 1, request.concurrency or CONCURRENCY, request.mirror)
        await judge_stage(self.store, asked, work)

    async def _play(self, model: Model, remaining: set[EpisodeKey], work: Path) -> None:
        lanes = [lane for plan in self.plan.tasks if (lane := self._lane(plan, model, remaining, work)).jobs]
        self._lanes = {lane.name: lane for lane in lanes}
        planned = Counter(item.task for item in self.plan.items())
        left = Counter(item.task for item in remaining)
        self.progress.start(dict(planned), {name: planned[name] - left[name] for name in planned})
        sites = SiteLocks(str(self.summary.directory.resolve()))
        self.scheduler = Scheduler(Budget.of_machine(live_bound(self.plan.request)), sites)
        self.store.commit_later(asyncio.get_running_loop().call_soon)
        _calm_collector()
        try:
            async with heartbeat(self.store, self._facts):
                with Signals(self.interrupt):
                    await self.scheduler.run(lanes, until=self._ends)
            self.store.flush()
        except* StoreError as errors:
            self.summary.stopped = str(cause(errors))
        finally:
            self.progress.stop()
        if self.scheduler.expired and not self.summary.stopped:
            limit = self.plan.request.time_limit_s
            self.summary.stopped = f"the time limit of {limit:g} s is over; the same command resumes"

    def _facts(self) -> Mapping[str, int]:
        """How far this command is, for its heartbeat."""
        return {
            "played": self.summary.played,
            "waiting": sum(len(lane.jobs) for lane in self._lanes.values()),
        }

    def interrupt(self) -> bool:
        """First Ctrl-C: start nothing new, let the live episodes end. Returns whether it was the first."""
        first = not self.summary.interrupted
        self.summary.interrupted = True
        if first and self.scheduler is not None:
            log.warning("stopping: live episodes play to their end; press Ctrl-C again to drop them")
            self.scheduler.stop()
        return first

    def _lane(self, plan: TaskPlan, model: Model, remaining: set[EpisodeKey], work: Path) -> TaskQueue:
        spec, request = plan.spec, self.plan.request
        ctx = context(plan.cfg, work / spec.name)
        policy = plan.task.history(ctx)
        notice = window_notice(policy, ctx)
        jobs = (
            PlannedEpisode(sample, repeat)
            for sample in plan.samples
            for repeat in range(request.repeats)
            if EpisodeKey(spec.name, spec.version, sample.id, repeat) in remaining
        )

        @lru_cache(maxsize=1)
        def setup_in(world: World) -> TaskRun:
            return TaskRun(
                spec=spec,
                world=world,
                model=model,
                live=self.live,
                oracle=(lambda sample: plan.task.oracle(ctx, sample)) if request.model == "oracle" else None,
                roles=self.roles,
                history=policy,
                notice=notice,
                profile=request.profile,
                decoding=request.decoding,
                seed=request.seed,
                deadline_s=request.deadline_s,
            )

        async def play_one(world: World, job: PlannedEpisode, activity: Activity) -> bool:
            setup = setup_in(world)
            restored = "" if world.replayable else await self._restore(setup, job, activity)
            if isinstance(restored, Attempt):
                return self._finished(restored, job)
            attempt = await run_episode(setup, job.sample, job.repeat, activity)
            attempt.note = "; ".join(part for part in (restored, attempt.note) if part)
            return self._finished(attempt, job)

        def lost(error: Exception) -> None:
            self.summary.lost[spec.name] = str(error) or repr(error)
            log.error("%s is not played: %s", spec.name, error)

        def world() -> AbstractAsyncContextManager[World]:
            return self._world(plan, ctx)

        queued = PlannedEpisodes(ordered(jobs, spec.expected_turns))
        return TaskQueue(spec.name, queued, spec.expected_turns, world, play_one, lost)

    @asynccontextmanager
    async def _world(self, plan: TaskPlan, ctx: Context) -> AsyncGenerator[World]:
        async with plan.task.world(ctx) as world:
            self.store.set_meta(f"fingerprint/{plan.spec.name}", dict(world.fingerprint))
            said = {"notes": world.notes, "stand_ins": world.stand_ins, "comparable": world.comparable}
            self.store.set_meta(f"world/{plan.spec.name}", said)
            yield world

    async def _restore(self, setup: TaskRun, job: PlannedEpisode, activity: Activity) -> str | Attempt:
        """Before another attempt in a world that cannot replay: undo what the one before may have left.

        Returns:
            What was done, or the attempt that could not be made because it failed.
        """
        spec = setup.spec
        item = EpisodeKey(spec.name, spec.version, job.sample.id, job.repeat)
        if not self.store.begun(item):
            self.store.begin(item)
            return ""
        activity.enter("restore")
        try:
            async with asyncio.timeout(RESTORE_S):
                return await setup.world.restore(job.sample) or "restored before this attempt"
        except Exception as error:
            what = f"EnvironmentFault: the world could not be restored: {error!r}"
            return Attempt(spec.name, spec.version, job.sample.id, job.repeat, error=what)

    def _finished(self, attempt: Attempt, job: PlannedEpisode) -> bool:
        """Commit an attempt; returns whether the job is to be tried again."""
        self.store.add(attempt, private=self._private[attempt.task])
        self._note_traits(attempt)
        self.progress.finished(attempt)
        self.summary.played += 1
        job.tries += 1
        if attempt.outcome != "infra_error":
            self._failures.success(attempt.task)
            return False
        decision = self._failures.failed(attempt, job.tries)
        if decision == "endpoint is dead" and self.scheduler and not self.summary.stopped:
            self.summary.stopped = "the endpoint answers no more; the same command resumes when it is back"
            self.scheduler.stop()
        if decision == "task is dead":
            self.summary.lost[attempt.task] = attempt.error.strip().splitlines()[-1]
            self._lanes[attempt.task].jobs.clear()
        return decision == "again"

    def _note_traits(self, attempt: Attempt) -> None:
        """Record how answers were got (a choice's method, `raw->user`): it belongs beside the number."""
        key = f"traits/{attempt.task}"
        if attempt.task not in self._traits:
            self._traits[attempt.task] = set(self.store.meta(key) or ())
        known = self._traits[attempt.task]
        found = {trait for call in attempt.calls for trait in _traits(call.facts)} - known
        if found:
            known |= found
            self.store.set_meta(key, sorted(known))


def _calm_collector() -> None:
    """Let the garbage collector skip what start-up made, and run less often: a tenth of the loop's time."""
    import gc

    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _traits(facts: Mapping[str, Any]) -> list[str]:
    method = facts.get("method")
    return [*facts.get("notes", ()), *([f"choices by method {method}"] if method else [])]
