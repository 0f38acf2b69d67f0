"""Workers of the Ray executor in threads of this process: all of it but Ray itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from harness.models.api import Model
from harness.running import plan as planning
from harness.running.plan import Plan
from harness.running.progress import PlainProgress
from harness.running.ray_executor.dispatch import Dispatcher
from harness.running.ray_executor.messages import Handed, Opened, Opening, Report
from harness.running.ray_executor.places import WorkerLost, places
from harness.running.ray_executor.player import WorkerPlayer
from harness.running.request import Execution, ModelChoice, RunRequest, Workload
from harness.running.resume import open_store, remaining_items
from harness.running.runner import Runner
from harness.running.summary import Summary
from harness.storage.store import EpisodeKey, Store

Found = dict[str, object]
INFO = {
    "model_id": "THUDM/agentlm-7b",
    "model_sha": "0",
    "version": "3.0.0",
    "max_concurrent_requests": 64,
    "max_input_tokens": 4000,
    "max_total_tokens": 4096,
}
"""What the tests' TGI servers for several workers say of themselves."""


class ThreadWorker:
    """A worker in a thread.

    Args:
        changed: what it is told instead.
        dies_after: so many attempts that arrived; with 0 its first report is lost as well.
    """

    def __init__(
        self, changed: Callable[[Opening], Opening] = lambda opening: opening, dies_after: int | None = None
    ) -> None:
        self.player, self.changed, self.dies_after = WorkerPlayer(), changed, dies_after
        self.together: asyncio.Barrier | None = None
        self.handed: list[EpisodeKey] = []
        self.reported = self.requests = 0

    async def open(self, opening: Opening) -> Opened:
        opened = await asyncio.to_thread(self.player.open, self.changed(opening))
        if self.together is not None:
            await self.together.wait()
        return opened

    async def exchange(
        self, handed: Sequence[Handed], over: Sequence[str], *, stop: bool, requests: int
    ) -> Report:
        self.requests = requests
        self.handed += [one.item for one in handed]
        dead = self.dies_after is not None and self.reported >= self.dies_after
        report = await asyncio.to_thread(self.player.exchange, handed, over, stop=stop, requests=requests)
        if dead:
            raise WorkerLost("killed by the test")
        self.reported += len(report.attempts)
        return report

    async def close(self) -> None:
        await asyncio.to_thread(self.player.close)


class Threads:
    """Has the interface of `cluster.Cluster`; `makers` start the worker of each place, again and again.

    The first of all places begin together, so that each gets its share, however late its thread runs.
    """

    def __init__(self, *makers: Callable[[], ThreadWorker]) -> None:
        self.makers = makers
        self.workers: list[ThreadWorker] = []

    def dispatcher(self, plan: Plan, tested: Model, store: Store, finished, end) -> Dispatcher:
        together = asyncio.Barrier(len(self.makers))

        def started(maker: Callable[[], ThreadWorker]) -> ThreadWorker:
            worker = maker()
            worker.together = together if len(self.workers) < len(self.makers) else None
            self.workers.append(worker)
            return worker

        starts = {
            f"node{n}": lambda maker=maker: started(maker) for n, maker in enumerate(self.makers, start=1)
        }
        return Dispatcher(places(plan, tested, starts, len(starts)), store, finished, end)


def request(out: Path, tasks: str, *, repeats: int = 1, limit: int | None = None, **models) -> RunRequest:
    from harness.running.samples import Limit

    work = Workload(
        tasks=tuple(tasks.split(",")),
        mirror="fixture",
        repeats=repeats,
        seed=5,
        limit=Limit(limit) if limit else None,
    )
    return RunRequest(work, ModelChoice(**{"model": "oracle", **models}), Execution(out=out))


def played(asked: RunRequest, cluster: Threads | None = None) -> Summary:
    """Play a run, in this process or on a cluster; its folder holds the store afterwards."""
    plan = planning.make(asked)
    assert asked.execution.out is not None and not plan.missing
    with closing(open_store(plan, asked.execution.out)) as store:
        runner = Runner(plan, store, asked.execution.out, PlainProgress(), cluster)
        return asyncio.run(runner.run(remaining_items(plan, store)))


def elsewhere(asked: RunRequest, out: Path) -> RunRequest:
    """The same run in another folder."""
    return replace(asked, execution=replace(asked.execution, out=out))


def transcripts(folder: Path) -> Found:
    """What each episode said, was asked with and was worth; it was stored exactly once."""
    found: Found = {}
    with closing(Store(folder / "run.sqlite", readonly=True)) as run:
        stored = list(run.attempts())
        counts = Counter(attempt.item for attempt in stored)
        assert set(counts) == set(run.planned()) and set(counts.values()) == {1}, counts.most_common(3)
        for attempt in stored:
            calls = [(c.prompt, c.reply, c.facts.get("seed"), c.turn, c.info) for c in run.calls(attempt.id)]
            item = attempt.item
            told = (attempt.outcome, attempt.value, attempt.metrics, attempt.answer, attempt.labels, calls)
            found[f"{item.task} {item.sample} {item.repeat}"] = (*told, run.last(attempt.id))
    return found
