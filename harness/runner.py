"""Carries a plan out: resumes what is stored, plays the rest, commits every attempt as it ends."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness import manifest
from harness.completeness import incomplete_tasks
from harness.episode import World
from harness.errors import MissingPart, StoreError
from harness.failures import Failures
from harness.jobs import Job, Jobs, ordered
from harness.locks import SiteLocks
from harness.models.client import LiveEpisodes, Model, open_model
from harness.models.roles import open_role, parse_role
from harness.phase import Phase
from harness.plan import Plan, RunRequest, TaskPlan
from harness.progress import Progress
from harness.rollout import Setup, play
from harness.scheduler import Budget, Lane, Scheduler
from harness.scratch import scratch
from harness.signals import Signals
from harness.store import Attempt, Item, Store
from harness.types import Context

log = logging.getLogger(__name__)

PER_ENDPOINT = 64
"""Requests in flight per endpoint unless `--concurrency` says otherwise."""

PREFETCH = 1.25
"""Live episodes per request in flight: environments reset while the model is busy with others."""


@dataclass(slots=True)
class Summary:
    """How a command ended.

    Attributes:
        lost: tasks whose world did not open, with the reason.
        stopped: why it ended early, empty when it did not.
        incomplete: tasks that have no headline yet.
    """

    directory: Path
    played: int = 0
    already: bool = False
    interrupted: bool = False
    stopped: str = ""
    lost: dict[str, str] = field(default_factory=dict[str, str])
    incomplete: list[str] = field(default_factory=list[str])

    @property
    def exit_code(self) -> int:
        """0 complete, 3 incomplete, 130 interrupted."""
        if self.interrupted:
            return 130
        return 3 if self.incomplete or self.stopped or self.lost else 0


class Runner:
    """One command's run of one plan."""

    def __init__(self, plan: Plan, store: Store, directory: Path, progress: Progress) -> None:
        self.plan, self.store, self.progress = plan, store, progress
        self.summary = Summary(directory)
        self.live = LiveEpisodes()
        self.scheduler: Scheduler | None = None
        self._failures = Failures()
        self._lanes: dict[str, Lane] = {}
        self._traits: dict[str, set[str]] = {}
        self.roles: dict[str, Model] = {}
        self._ends: float | None = None

    async def run(self) -> Summary:
        """Play what is left of the plan."""
        limit = self.plan.request.time_limit_s
        self._ends = None if limit is None else asyncio.get_running_loop().time() + limit
        remaining = remaining_items(self.plan, self.store)
        if not remaining:
            self.summary.already = True
            return self._finish()
        with scratch("harness-run-") as work:
            async with AsyncExitStack() as stack:
                model = await stack.enter_async_context(_open(self.plan.request, self.live))
                self.store.set_meta("model", _plain(dict(model.info)))
                for role in map(parse_role, self.plan.request.roles):
                    opened = open_role(role, tested=model, live=self.live, profile=self.plan.request.profile)
                    self.roles[role.role] = await stack.enter_async_context(opened)
                await self._play(model, remaining, work)
        return self._finish()

    async def _play(self, model: Model, remaining: set[Item], work: Path) -> None:
        lanes = [lane for plan in self.plan.tasks if (lane := self._lane(plan, model, remaining, work)).jobs]
        self._lanes = {lane.name: lane for lane in lanes}
        planned = Counter(item.task for item in self.plan.items())
        left = Counter(item.task for item in remaining)
        self.progress.start(dict(planned), {name: planned[name] - left[name] for name in planned})
        sites = SiteLocks(str(self.summary.directory.resolve()))
        self.scheduler = Scheduler(Budget.of_machine(_live_bound(self.plan.request)), sites)
        self.store.commit_later(asyncio.get_running_loop().call_soon)
        _calm_collector()
        try:
            with Signals(self.interrupt):
                await self.scheduler.run(lanes, until=self._ends)
            self.store.flush()
        except* StoreError as errors:
            self.summary.stopped = str(errors.exceptions[0])
        finally:
            self.progress.stop()
        if self.scheduler.expired and not self.summary.stopped:
            limit = self.plan.request.time_limit_s
            self.summary.stopped = f"the time limit of {limit:g} s is over; the same command resumes"

    def interrupt(self) -> bool:
        """First Ctrl-C: start nothing new, let the live episodes end. Returns whether it was the first."""
        first = not self.summary.interrupted
        self.summary.interrupted = True
        if first and self.scheduler is not None:
            log.warning("stopping: live episodes play to their end; press Ctrl-C again to drop them")
            self.scheduler.stop()
        return first

    def _lane(self, plan: TaskPlan, model: Model, remaining: set[Item], work: Path) -> Lane:
        spec, request = plan.spec, self.plan.request
        (work / spec.name).mkdir()
        ctx = replace(plan.ctx, work=work / spec.name)
        jobs = (
            Job(sample, repeat)
            for sample in plan.samples
            for repeat in range(request.repeats)
            if Item(spec.name, spec.version, sample.id, repeat) in remaining
        )

        async def play_one(world: World, job: Job, phase: Phase) -> bool:
            setup = Setup(
                spec=spec,
                world=world,
                model=model,
                live=self.live,
                oracle=(lambda sample: plan.task.oracle(ctx, sample)) if request.model == "oracle" else None,
                roles=self.roles,
                history=plan.task.history(ctx),
                decoding=request.decoding,
                seed=request.seed,
                deadline_s=request.deadline_s,
            )
            return self._finished(await play(setup, job.sample, job.repeat, phase), job)

        def lost(error: Exception) -> None:
            self.summary.lost[spec.name] = str(error) or repr(error)
            log.error("%s is not played: %s", spec.name, error)

        def world() -> AbstractAsyncContextManager[World]:
            return self._world(plan, ctx)

        return Lane(
            spec.name, Jobs(ordered(jobs, spec.expected_turns)), spec.expected_turns, world, play_one, lost
        )

    @asynccontextmanager
    async def _world(self, plan: TaskPlan, ctx: Context) -> AsyncGenerator[World]:
        async with plan.task.world(ctx) as world:
            self.store.set_meta(f"fingerprint/{plan.spec.name}", dict(world.fingerprint))
            yield world

    def _finished(self, attempt: Attempt, job: Job) -> bool:
        """Commit an attempt; returns whether the job is to be tried again."""
        self.store.add(attempt)
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

    def _finish(self) -> Summary:
        self.summary.incomplete = incomplete_tasks(self.store)
        return self.summary


def _calm_collector() -> None:
    """Let the garbage collector skip what start-up made, and run less often: a tenth of the loop's time."""
    import gc

    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def remaining_items(plan: Plan, store: Store) -> set[Item]:
    """What is still to be played.

    Infra errors of a run that is complete within its tolerance are left alone unless asked for.
    """
    final = store.final_items()
    open_items = {item for item in plan.items() if item not in final}
    failed = {a.item for a in store.attempts() if a.outcome == "infra_error"} & open_items
    if plan.request.retry == "infra":
        return failed
    if failed == open_items and not incomplete_tasks(store):
        return set()
    return open_items


def open_store(plan: Plan, directory: Path) -> Store:
    """Open the run directory of a plan, which the caller holds, and refuse another run's.

    Raises:
        UsageError: the directory holds a run of another configuration.
        StoreError: it cannot be written.
    """
    store = Store(directory / "run.sqlite")
    old = store.meta("config")
    if old is not None:
        manifest.refuse_other(old, _plain(plan.config()), directory)
    else:
        store.set_meta("config", plan.config())
        store.set_meta("missing", plan.missing)
        store.set_meta("specs", {plan.spec.name: _spec_facts(plan) for plan in plan.tasks})
        store.plan(plan.items())
    store.set_meta("environment", manifest.environment())
    return store


async def check_model(request: RunRequest) -> list[str]:
    """Lines for what is missing on the model's side; nothing but `/info` is asked."""
    try:
        async with _open(request, LiveEpisodes()):
            return []
    except MissingPart as error:
        return str(error).splitlines()


def _open(request: RunRequest, live: LiveEpisodes) -> AbstractAsyncContextManager[Model]:
    return open_model(
        request.model,
        endpoints=request.endpoints,
        live=live,
        concurrency=request.concurrency,
        profile=request.profile,
    )


def _live_bound(request: RunRequest) -> int:
    flights = request.concurrency or PER_ENDPOINT * max(len(request.endpoints), 1)
    return max(1, int(flights * PREFETCH))


def _spec_facts(plan: TaskPlan) -> dict[str, Any]:
    spec = plan.spec
    return {
        "metric": spec.metric,
        "unit": spec.unit,
        "suite": spec.suite,
        "excepts": dict(spec.excepts),
        "turns": spec.expected_turns,
    }


def _traits(facts: Mapping[str, Any]) -> list[str]:
    method = facts.get("method")
    return [*facts.get("notes", ()), *([f"choices by method {method}"] if method else [])]


def _plain(value: Any) -> Any:
    """A value as JSON would give it back."""
    import json

    return json.loads(json.dumps(value))
