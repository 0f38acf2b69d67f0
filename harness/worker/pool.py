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
class _PooledWorker:
    """One worker, with the slots of it that are free and how often any was leased."""

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
    _entry: _PooledWorker
    _held: bool = field(default=True)

    @property
    def worker(self) -> Worker:
        """The worker the slot belongs to."""
        return self._entry.worker

    async def call(self, method: str, *args: Any, timeout: float) -> Any:
        """Call the handler's method with the slot's number as its first argument; see `Worker.call`."""
        return await self._entry.worker.call(method, self.slot, *args, timeout=timeout)

    def release(self) -> None:
        """Give the slot back. Idempotent."""
        if self._held:
            self._held = False
            self._pool._free(self._entry, self.slot)  # pyright: ignore[reportPrivateUsage]


class WorkerPool:
    """Leases slots of its workers, the emptiest worker first; an async context manager."""

    def __init__(self, spec: PoolSpec) -> None:
        self.spec = spec
        self._places = asyncio.Semaphore(spec.size * spec.slots)
        self._workers: list[_PooledWorker] = []
        self._retired: set[_PooledWorker] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        warm = self.spec.size if self.spec.warm is None else min(self.spec.warm, self.spec.size)
        starts = [self._launch().start for _ in range(warm)]
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
        return [entry.worker for entry in (*self._workers, *self._retired) if entry.worker.alive]

    async def acquire(self) -> Lease:
        """Wait for a free slot of a living worker.

        Raises:
            EnvironmentFault: a worker had to be started and did not start.
        """
        await self._places.acquire()
        if self._closed:
            self._places.release()
            raise RuntimeError("the pool is closed")
        entry = self._choose()
        slot = entry.free.pop(0)
        entry.taken += 1
        entry.uses += 1
        entry.worn = entry.worn or entry.uses >= self.spec.uses
        lease = Lease(slot, self, entry)
        try:
            await asyncio.shield(entry.start)
        except BaseException:
            lease.release()
            raise
        return lease

    async def close(self) -> None:
        """End every worker; leaves no process. Idempotent."""
        self._closed = True
        for entry in (*self._workers, *self._retired):
            self._end(entry)
        self._workers.clear()
        self._retired.clear()
        while self._closing:
            await asyncio.wait(set(self._closing))

    def _choose(self) -> _PooledWorker:
        """Find the worker with the fewest leases; the semaphore ensures that one has a free slot."""
        for entry in [entry for entry in self._workers if not entry.fit]:
            self._retire(entry)
        best = min(
            (entry for entry in self._workers if entry.free), key=lambda entry: entry.taken, default=None
        )
        if best is None or (best.taken and len(self._workers) < self.spec.size):
            return self._launch()
        return best

    def _launch(self) -> _PooledWorker:
        worker = Worker(self.spec.launch)
        start = asyncio.create_task(worker.start())
        # Whoever waits for the start hears of its failure; nobody may be waiting.
        start.add_done_callback(lambda done: done.cancelled() or done.exception())
        entry = _PooledWorker(worker, start, list(range(self.spec.slots)))
        self._workers.append(entry)
        return entry

    def _free(self, entry: _PooledWorker, slot: int) -> None:
        entry.taken -= 1
        entry.free.append(slot)
        entry.worn = entry.worn or entry.worker.rss_mb() > self.spec.recycle_mb
        if entry in self._workers and not entry.fit:
            self._retire(entry)
        elif entry in self._retired and not entry.taken:
            self._retired.discard(entry)
            self._end(entry)
        self._places.release()

    def _retire(self, entry: _PooledWorker) -> None:
        """Give a worker no further leases; it ends when the last of its leases is released."""
        self._workers.remove(entry)
        if entry.taken and entry.worker.alive:
            self._retired.add(entry)
        else:
            self._end(entry)

    def _end(self, entry: _PooledWorker) -> None:
        task = asyncio.create_task(self._ended(entry))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _ended(self, entry: _PooledWorker) -> None:
        if not entry.start.done():
            entry.start.cancel()
        await asyncio.wait({entry.start})
        await entry.worker.close()
