"""Hands out simulators and recycles the Java processes they live in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from harness.errors import EnvironmentFault
from tasks.sciworld.jvm import Jvm, Simulator
from tasks.sciworld.launch import HEAP_BASE_MB, HEAP_SLOT_MB

T = TypeVar("T")

log = logging.getLogger(__name__)

SLOTS = 8
"""Simulators in one JVM: as many episodes are rebuilt when it ends."""

EPISODES = 200
RESIDENT_MB = 1200
"""A JVM that served so many episodes or grew so large takes no further one and ends with its last."""

CALL_S = 60.0
"""The watchdog of one turn; the slowest turn measured took 1.4 s."""

WARM_TASK = "boil"


class SimulatorPool:
    """Simulators for as many episodes as ask, in JVMs of `slots` each.

    Args:
        work: where the JVMs have their working folder, which somebody removes when this process is killed;
            None takes the system's temporary folder.
    """

    def __init__(
        self,
        slots: int = SLOTS,
        call_s: float = CALL_S,
        episodes: int = EPISODES,
        work: Path | None = None,
    ) -> None:
        self._slots, self._call_s, self._episodes = slots, call_s, episodes
        self._heap_mb = HEAP_BASE_MB + HEAP_SLOT_MB * slots
        self._jvms: list[Jvm] = []
        self._free: list[Simulator] = []
        self._growing = asyncio.Lock()
        self._chores: set[asyncio.Task[Any]] = set()
        self._closed = False
        # The simulator writes a table of its objects into its working folder.
        self._home = TemporaryDirectory(prefix="harness-jvm-", dir=work, ignore_cleanup_errors=True)

    @property
    def jvms(self) -> Sequence[Jvm]:
        """The processes, retired ones included while an episode lives in them."""
        return tuple(self._jvms)

    async def acquire(self) -> Simulator:
        """Take a simulator, adding one when none is free.

        Raises:
            EnvironmentFault: Java does not start.
        """
        slot = self._pop() or await self._grown()
        jvm = slot.jvm
        jvm.episodes += 1
        if jvm.episodes >= self._episodes or jvm.resident_mb() > RESIDENT_MB:
            log.info("JVM %d retires after %d episodes", jvm.pid, jvm.episodes)
            jvm.retired = True
            self._sweep()
        return slot

    def release(self, slot: Simulator) -> None:
        """Give a simulator back; one whose calls still run is free once they end."""
        if not self._closed:
            self._chore(self._returned(slot))

    async def warm(self, count: int) -> None:
        """Have so many simulators ready."""
        self._free += [await self._grown(fresh=True) for _ in range(count)]

    async def settled(self) -> None:
        """Wait until every simulator given back so far is free again."""
        await asyncio.gather(*self._chores, return_exceptions=True)

    async def close(self) -> None:
        """End every process."""
        self._closed = True
        async with self._growing:
            await asyncio.gather(*(jvm.kill() for jvm in self._jvms))
        await self.settled()
        self._home.cleanup()

    def _pop(self) -> Simulator | None:
        while self._free:
            slot = self._free.pop()
            if slot.jvm.alive and not slot.jvm.retired:
                return slot
            _leave(slot)
        return None

    async def _grown(self, *, fresh: bool = False) -> Simulator:
        """Add a simulator; a cancelled caller does not stop this, and the next caller gets it."""
        growing = self._chore(self._grow(fresh=fresh))
        try:
            return await asyncio.shield(growing)
        except asyncio.CancelledError:
            growing.add_done_callback(self._keep)
            raise

    def _keep(self, growing: asyncio.Task[Simulator]) -> None:
        if not growing.cancelled() and growing.exception() is None:
            self._free.append(growing.result())

    async def _grow(self, *, fresh: bool) -> Simulator:
        async with self._growing:
            if self._closed:
                raise EnvironmentFault("the simulators are closed")
            self._sweep()
            if not fresh and (slot := self._pop()) is not None:
                return slot
            open_jvms = [jvm for jvm in self._jvms if not jvm.retired and len(jvm.slots) < self._slots]
            if not open_jvms:
                open_jvms = [await Jvm.launch(self._heap_mb, self._home.name)]
                self._jvms += open_jvms
            slot = await open_jvms[0].open_slot(self._call_s)
            # A class loader's first task compiles; better here than while a model waits.
            await slot.run(slot.load(WARM_TASK, 0, "easy"))
            return slot

    async def _returned(self, slot: Simulator) -> None:
        await slot.idle()
        if slot.jvm.alive and not slot.jvm.retired:
            self._free.append(slot)
        else:
            _leave(slot)
            self._sweep()

    def _sweep(self) -> None:
        """Clean up processes that ended, and end retired ones without episodes."""
        for slot in [slot for slot in self._free if slot.jvm.retired or not slot.jvm.alive]:
            self._free.remove(slot)
            _leave(slot)
        for jvm in [jvm for jvm in self._jvms if not jvm.alive or (jvm.retired and not jvm.slots)]:
            self._jvms.remove(jvm)
            self._chore(jvm.kill())

    def _chore(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        chore = asyncio.create_task(work)
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)
        return chore


def _leave(slot: Simulator) -> None:
    if slot in slot.jvm.slots:
        slot.gateway.close()
        slot.jvm.slots.remove(slot)
