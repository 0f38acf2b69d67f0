"""A pool of workers with many slots each: leases slots, replaces workers that died or wore out."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from harness.worker.process import Launch, Worker

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """What a pool consists of.

    Attributes:
        size: workers in service at once; one that is worn out may live on beside them until it is empty.
        slots: leases a worker can carry at once.
        uses: leases after which a worker is replaced.
        recycle_mb: resident memory after which it is replaced.
        warm: workers started in advance; None starts all.
    """

    launch: Launch
    size: int
    slots: int
    uses: int = 200
    recycle_mb: float = 1024.0
    warm: int | None = None


@dataclass(eq=False, slots=True)
class _Slots:
    """One worker and who sits at it."""

    worker: Worker
    start: asyncio.Task[None]
    free: list[int]
    taken: int = 0
    uses: int = 0
    worn: bool = False

    @property
    def fit(self) -> bool:
        """Whether it may take a further lease, were a slot free."""
        if self.worn:
            return False
        if not self.start.done():
            return True
        return not self.start.cancelled() and self.start.exception() is None and self.worker.alive


@dataclass(eq=False, slots=True)
class Lease:
    """A slot of a worker, held until `release`."""

    slot: int
    _pool: WorkerPool
    _desk: _Slots
    _held: bool = field(default=True)

    @property
    def worker(self) -> Worker:
        """The worker the slot belongs to."""
        return self._desk.worker

    async def call(self, method: str, *args: Any, timeout: float) -> Any:
        """Call the handler's method with the slot's number as its first argument; see `Worker.call`."""
        return await self._desk.worker.call(method, self.slot, *args, timeout=timeout)

    def release(self) -> None:
        """Give the slot back. Idempotent."""
        if self._held:
            self._held = False
            self._pool._free(self._desk, self.slot)  # pyright: ignore[reportPrivateUsage]


class WorkerPool:
    """Leases slots of its workers, the emptiest worker first; an async context manager."""

    def __init__(self, spec: PoolSpec) -> None:
        self.spec = spec
        self._places = asyncio.Semaphore(spec.size * spec.slots)
        self._desks: list[_Slots] = []
        self._old: set[_Slots] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        warm = self.spec.size if self.spec.warm is None else min(self.spec.warm, self.spec.size)
        starts = [self._hire().start for _ in range(warm)]
        try:
            await asyncio.gather(*starts)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def workers(self) -> list[Worker]:
        """Every worker that still has a process, worn ones included."""
        return [desk.worker for desk in (*self._desks, *self._old) if desk.worker.alive]

    async def acquire(self) -> Lease:
        """Wait for a free slot of a living worker.

        Raises:
            EnvironmentFault: a worker had to be started and did not start.
        """
        await self._places.acquire()
        if self._closed:
            self._places.release()
            raise RuntimeError("the pool is closed")
        desk = self._choose()
        slot = desk.free.pop(0)
        desk.taken += 1
        desk.uses += 1
        desk.worn = desk.worn or desk.uses >= self.spec.uses
        lease = Lease(slot, self, desk)
        try:
            await asyncio.shield(desk.start)
        except BaseException:
            lease.release()
            raise
        return lease

    async def close(self) -> None:
        """End every worker; leaves no process. Idempotent."""
        self._closed = True
        for desk in (*self._desks, *self._old):
            self._dismiss(desk)
        self._desks.clear()
        self._old.clear()
        while self._closing:
            await asyncio.wait(set(self._closing))

    def _choose(self) -> _Slots:
        """Find the emptiest desk; the places' semaphore sees to it that one has a free slot."""
        for desk in [desk for desk in self._desks if not desk.fit]:
            self._retire(desk)
        best = min((desk for desk in self._desks if desk.free), key=lambda desk: desk.taken, default=None)
        if best is None or (best.taken and len(self._desks) < self.spec.size):
            return self._hire()
        return best

    def _hire(self) -> _Slots:
        worker = Worker(self.spec.launch)
        start = asyncio.create_task(worker.start())
        # Whoever waits for the start hears of its failure; nobody may be waiting.
        start.add_done_callback(lambda done: done.cancelled() or done.exception())
        desk = _Slots(worker, start, list(range(self.spec.slots)))
        self._desks.append(desk)
        return desk

    def _free(self, desk: _Slots, slot: int) -> None:
        desk.taken -= 1
        desk.free.append(slot)
        desk.worn = desk.worn or desk.worker.rss_mb() > self.spec.recycle_mb
        if desk in self._desks and not desk.fit:
            self._retire(desk)
        elif desk in self._old and not desk.taken:
            self._old.discard(desk)
            self._dismiss(desk)
        self._places.release()

    def _retire(self, desk: _Slots) -> None:
        """Take a desk out of service; its worker ends once nobody sits there any more."""
        self._desks.remove(desk)
        if desk.taken and desk.worker.alive:
            self._old.add(desk)
        else:
            self._dismiss(desk)

    def _dismiss(self, desk: _Slots) -> None:
        task = asyncio.create_task(self._ended(desk))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _ended(self, desk: _Slots) -> None:
        if not desk.start.done():
            desk.start.cancel()
        await asyncio.wait({desk.start})
        await desk.worker.close()
