"""A pool of workers with many slots each: leases slots, and replaces dead and worn-out workers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from harness.worker.launch import Launch
from harness.worker.worker import Worker


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """What a pool consists of.

    Attributes:
        size: workers that take leases at once; a retired one runs until its last lease is released.
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
class _Entry:
    """One worker and its slots.

    Attributes:
        start: its start, which leases wait for.
        free: numbers of the slots that are not in use.
        taken: slots that are held.
        uses: leases so far.
        worn: to be replaced, for its leases or its memory.
    """

    worker: Worker
    start: asyncio.Task[None]
    free: list[int]
    taken: int = 0
    uses: int = 0
    worn: bool = False

    @property
    def usable(self) -> bool:
        """Whether it may take further leases."""
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
    _entry: _Entry
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
            self._pool._release(self._entry, self.slot)  # pyright: ignore[reportPrivateUsage]


class WorkerPool:
    """Leases slots of its workers, the one with the fewest leases first; an async context manager."""

    def __init__(self, spec: PoolSpec) -> None:
        self.spec = spec
        self._free_slots = asyncio.Semaphore(spec.size * spec.slots)
        self._in_service: list[_Entry] = []
        self._retired: set[_Entry] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        warm = self.spec.size if self.spec.warm is None else min(self.spec.warm, self.spec.size)
        starts = [self._add().start for _ in range(warm)]
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
        """Every worker that still has a process, retired ones included."""
        return [entry.worker for entry in (*self._in_service, *self._retired) if entry.worker.alive]

    async def acquire(self) -> Lease:
        """Wait for a free slot of a running worker.

        Raises:
            EnvironmentFault: a worker had to be started and did not start.
        """
        await self._free_slots.acquire()
        if self._closed:
            self._free_slots.release()
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
        for entry in (*self._in_service, *self._retired):
            self._end(entry)
        self._in_service.clear()
        self._retired.clear()
        while self._closing:
            await asyncio.wait(set(self._closing))

    def _choose(self) -> _Entry:
        """Find the worker with the fewest leases, or add one; the semaphore has let one lease in."""
        for entry in [entry for entry in self._in_service if not entry.usable]:
            self._retire(entry)
        best = min(
            (entry for entry in self._in_service if entry.free), key=lambda entry: entry.taken, default=None
        )
        if best is None or (best.taken and len(self._in_service) < self.spec.size):
            return self._add()
        return best

    def _add(self) -> _Entry:
        worker = Worker(self.spec.launch)
        start = asyncio.create_task(worker.start())
        # Mark a failure as read: leases that wait for the start get it, but there may be none.
        start.add_done_callback(lambda done: done.cancelled() or done.exception())
        entry = _Entry(worker, start, list(range(self.spec.slots)))
        self._in_service.append(entry)
        return entry

    def _release(self, entry: _Entry, slot: int) -> None:
        entry.taken -= 1
        entry.free.append(slot)
        entry.worn = entry.worn or entry.worker.rss_mb() > self.spec.recycle_mb
        if entry in self._in_service and not entry.usable:
            self._retire(entry)
        elif entry in self._retired and not entry.taken:
            self._retired.discard(entry)
            self._end(entry)
        self._free_slots.release()

    def _retire(self, entry: _Entry) -> None:
        """Give a worker no further lease; it ends when its last one is released."""
        self._in_service.remove(entry)
        if entry.taken and entry.worker.alive:
            self._retired.add(entry)
        else:
            self._end(entry)

    def _end(self, entry: _Entry) -> None:
        task = asyncio.create_task(self._close(entry))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close(self, entry: _Entry) -> None:
        if not entry.start.done():
            entry.start.cancel()
        await asyncio.wait({entry.start})
        await entry.worker.close()
