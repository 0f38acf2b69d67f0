"""Carries a plan out: resumes what is stored, plays the rest, commits every attempt as it ends."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from harness.episode import World
from harness.errors import MissingPart, StoreError, cause
from harness.models.api import LiveEpisodes, Model
from harness.models.roles import EMBEDDER, parse_role
from harness.running.activity import Activity
from harness.running.admission import Budget
from harness.running.code import note_code
from harness.running.expected import Expected
from harness.running.garbage import collect_less_often
from harness.running.heartbeat import heartbeat
from harness.running.identity import Systems, changed_model, keep
from harness.running.judge_stage import judge_stage
from harness.running.judge_values import waits_for
from harness.running.look import Look, look, pressure
from harness.running.plan import Plan, TaskPlan
from harness.running.progress import Progress, ticking
from harness.running.queue import EpisodeQueue, PlannedEpisode, ordered
from harness.running.resume import plain_json
from harness.running.retry_policy import RetryPolicy
from harness.running.run_model import live_bound, open_roles, open_tested
from harness.running.scheduler import Scheduler, TaskQueue
from harness.running.signals import Signals
from harness.running.site_locks import SiteLocks
from harness.running.summary import Summary
from harness.running.task_player import OpenModels, TaskPlayer
from harness.running.traits import Traits
from harness.running.verdicts import CONCURRENCY, JudgeRequest
from harness.storage import manifest
from harness.storage.completeness import incomplete_tasks
from harness.storage.private import without_texts
from harness.storage.scratch import scratch
from harness.storage.store import Attempt, EpisodeKey, Store
from harness.storage.words import duration

if TYPE_CHECKING:
    from harness.running.ray_executor.cluster import Cluster
    from harness.running.ray_executor.dispatch import Dispatcher

log = logging.getLogger(__name__)

DRAIN_OUTAGE_S = 5.0
"""An outage that is no longer lets the episodes of a stopped run wait for its end."""

SHOWN = 20
"""Endpoints and oldest episodes that a heartbeat names."""


class Runner:
    """One command's run of one plan, in this process or on a cluster."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        directory: Path,
        progress: Progress,
        cluster: Cluster | None = None,
    ) -> None:
        self.plan, self.store, self.progress = plan, store, progress
        self.summary = Summary(directory)
        self.scheduler: Scheduler | Dispatcher | None = None
        self._cluster = cluster
        self._retries = RetryPolicy()
        self._traits, self._systems = Traits(store), Systems(store)
        self._queues: dict[str, TaskQueue] = {}
        self._private = () if plan.request.execution.trace_private else private_tasks(plan)
        self._ends: float | None = None
        roles = plan.request.models.roles
        self._embedder = next((text for text in roles if parse_role(text).role == EMBEDDER), None)

    async def run(self, remaining: set[EpisodeKey]) -> Summary:
        """Play what is left of the plan (`resume.remaining_items`)."""
        request = self.plan.request
        if request.execution.trace_private and (named := private_tasks(self.plan)):
            log.warning("%s: the run will hold texts that are not to be published", ", ".join(named))
        limit = request.execution.time_limit_s
        self._ends = None if limit is None else asyncio.get_running_loop().time() + limit
        self.summary.already = not remaining
        self.summary.empty = not self.plan.items()
        with scratch("harness-run-") as folder:
            if remaining:
                await self._answer(remaining, folder / "play")
            else:
                await self._confirm()
            self.summary.incomplete = incomplete_tasks(self.store)
            if not self.summary.interrupted and not self.summary.incomplete:
                await self._judge(folder)
        if request.models.model != "oracle":  # its answers are no model's, and need no judge
            waiting = list(self.store.attempts(final_only=True, waiting=True))
            for_embedder = {a.item.task for a in waiting if waits_for(a, EMBEDDER)}
            unasked = for_embedder if self._embedder is None else set[str]()
            self.summary.unembedded = sorted(unasked)
            self.summary.unjudged = sorted({a.item.task for a in waiting} - unasked)
        return self.summary

    async def _answer(self, remaining: set[EpisodeKey], work: Path) -> None:
        """Open the model and its roles, and play."""
        request, live = self.plan.request, LiveEpisodes()
        async with AsyncExitStack() as stack:
            tested = await stack.enter_async_context(open_tested(request, live))
            models = OpenModels(tested, live)
            self._keep(tested)
            note_code(self.store, self.plan.tasks)
            models.roles |= await open_roles(request, tested, live, stack)
            await self._play(models, remaining, work)

    async def _confirm(self) -> None:
        """Refuse to take a complete run for another model's; where no endpoint answers it stands as it is."""
        try:
            async with open_tested(self.plan.request, LiveEpisodes()) as tested:
                self._keep(tested)
                return
        except MissingPart as missing:
            log.warning("the model was not asked whether it is still the one that was run: %s", missing)

    def _keep(self, tested: Model) -> None:
        """Record who plays and with what, unless the run is another model's."""
        keep(self.store, plain_json(dict(tested.info)), self.summary.directory)
        used = cast("Mapping[str, Mapping[str, Any]]", tested.info.get("templates") or {}).values()
        for line in dict.fromkeys(
            f"template {one['id']} {note}" for one in used for note in one.get("notes", ())
        ):
            log.warning("%s", line)
        self.store.add_command({"argv": sys.argv, "environment": manifest.environment()})

    async def _judge(self, folder: Path) -> None:
        """Value what waits for the judge and for the embedder, where they were named and anything does."""
        models, mirror = self.plan.request.models, self.plan.request.workload.mirror
        for judge, role in ((models.judge, None), (None, self._embedder)):
            named = "judge" if role is None else EMBEDDER
            if judge is None and role is None:
                continue
            if not any(waits_for(a, named) for a in self.store.attempts(final_only=True)):
                log.warning("nothing in this run waits for the %s", named)
                continue
            asked = JudgeRequest(judge, 1, models.concurrency or CONCURRENCY, mirror, role=role)
            try:
                done = await judge_stage(self.store, asked, folder / named)
            except MissingPart as missing:  # what is played stands, and its answers wait
                log.error("%s", missing)
                continue
            self.summary.unread += done.tally.unread

    async def _play(self, models: OpenModels, remaining: set[EpisodeKey], work: Path) -> None:
        queues = [self._queue(plan, models, remaining, work) for plan in self.plan.tasks]
        self._queues = {queue.name: queue for queue in queues if queue.episodes}
        planned = Counter(item.task for item in self.plan.items())
        left = Counter(item.task for item in remaining)
        turns = {plan.spec.name: plan.spec.expected_turns for plan in self.plan.tasks}
        self.progress.start(dict(planned), {name: planned[name] - left[name] for name in planned}, turns)
        deadline_s = self.plan.request.models.deadline_s
        if self._cluster is not None:
            scheduler = self.scheduler = self._cluster.dispatcher(
                self.plan, models.tested, self.store, self._finished, self._end
            )
            see = scheduler.look
        else:
            sites = SiteLocks(str(self.summary.directory.resolve()))
            budget = Budget.of_machine(live_bound(self.plan.request))
            scheduler = self.scheduler = Scheduler(budget, sites, partial(pressure, models.tested))
            see = partial(look, models.tested, self._queues.values(), deadline_s)
        self.store.commit_later(asyncio.get_running_loop())
        collect_less_often()  # a command has done so already, a caller in Python has not
        gc.freeze()  # what start-up made stays: not worth looking through again and again
        try:
            async with heartbeat(self.store, partial(self._facts, see)), ticking(self.progress, see):
                with Signals(self.interrupt, partial(self._hopeless, see)):
                    await scheduler.run(list(self._queues.values()), until=self._ends)
            self._traits.close()
            self.store.flush()
        except* StoreError as errors:
            self.summary.stopped = str(cause(errors))
        finally:
            self.progress.stop()
        if scheduler.expired and not self.summary.stopped:
            limit = self.plan.request.execution.time_limit_s
            self.summary.stopped = f"the time limit of {limit:g} s is over; the same command resumes"

    def _facts(self, see: Callable[[], Look]) -> Mapping[str, Any]:
        """How far this command is and what it waits for, for its heartbeat."""
        seen = see()
        waits = self.scheduler.waits(SHOWN) if self.scheduler is not None else []
        return {
            "played": self.summary.played,
            "waiting": sum(len(queue.episodes) for queue in self._queues.values()),
            "live": seen.live,
            "flying": seen.flying,
            "queued": seen.queued,
            "outage_s": seen.outage_s,
            "endpoints": [asdict(endpoint) for endpoint in seen.endpoints[:SHOWN]],
            "oldest": [wait._asdict() for wait in waits],
        }

    def interrupt(self) -> bool:
        """First Ctrl-C: start nothing new, let the live episodes end. Returns whether it was the first."""
        first = not self.summary.interrupted
        self.summary.interrupted = True
        if first and self.scheduler is not None:
            live = sum(len(queue.live) for queue in self._queues.values())
            log.warning(
                "stopping: no new episode starts, %d live episode%s play%s to the end; "
                "press Ctrl-C again to drop them",
                *((live, "s", "") if live != 1 else (live, "", "s")),
            )
            self.scheduler.stop()
        return first

    def _hopeless(self, see: Callable[[], Look]) -> bool:
        """Whether the live episodes of a stopped run wait for endpoints that are all gone."""
        outage_s = see().outage_s
        if outage_s is None or outage_s < DRAIN_OUTAGE_S:
            return False
        log.warning(
            "no endpoint is alive for %s: the live episodes are dropped; the same command plays them anew",
            duration(outage_s),
        )
        return True

    def _queue(self, plan: TaskPlan, models: OpenModels, remaining: set[EpisodeKey], work: Path) -> TaskQueue:
        """One task's remaining episodes with what plays them."""
        spec, request = plan.spec, self.plan.request
        player = TaskPlayer(plan, request, models, self.store, work / spec.name)
        episodes = (
            PlannedEpisode(sample, repeat)
            for sample in plan.samples
            for repeat in range(request.workload.repeats)
            if plan.key(sample, repeat) in remaining
        )

        async def play(world: World, planned: PlannedEpisode, activity: Activity) -> bool:
            return self._finished(await player.play(planned, activity), planned)

        def lost(error: Exception) -> None:
            self.summary.lost[spec.name] = str(error) or repr(error)
            log.error("%s is not played: %s", spec.name, error)

        expected = Expected(spec.expected_turns)
        queued = EpisodeQueue(ordered(episodes, expected), expected)
        return TaskQueue(spec.name, queued, player.world, play, lost)

    def _finished(self, attempt: Attempt, planned: PlannedEpisode) -> bool:
        """Commit an attempt; returns whether the episode is to be tried again."""
        if changed := changed_model(attempt) or self._systems.other(attempt):
            self._end(f"the model changed: {changed}")
            return False
        whole = attempt
        if attempt.task in self._private:
            attempt = without_texts(attempt)  # also for the logs
        self.store.add(attempt)
        self._traits.note(whole)
        self.progress.finished(attempt)
        self.summary.played += 1
        planned.tries += 1
        if attempt.outcome != "infra_error":
            self._retries.success(attempt.task)
            turns = sum(not call.role for call in attempt.calls)
            self._queues[attempt.task].episodes.expected.note(planned.sample, turns)
            return False
        decision = self._retries.failed(attempt, planned.tries)
        if decision == "end the run":
            self._end("the endpoint answers no more; the same command resumes when it is back")
        if decision == "end the task":
            self.summary.lost[attempt.task] = attempt.error.strip().splitlines()[-1]
            self._queues[attempt.task].episodes.clear()
        return decision == "retry"

    def _end(self, why: str) -> None:
        """Start nothing more, and say why."""
        if self.scheduler and not self.summary.stopped:
            self.summary.stopped = why
            self.scheduler.stop()


def private_tasks(plan: Plan) -> tuple[str, ...]:
    """The tasks of a plan whose texts are not to spread."""
    return tuple(task.spec.name for task in plan.tasks if task.spec.private)
