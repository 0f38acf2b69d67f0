"""The server that all episodes of a run share, and who holds which name on it."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from pathlib import Path

from tasks.dbbench import server as servers
from tasks.dbbench import session


class Names:
    """Reserves names: one holder at a time; those who wait follow in the order they came."""

    def __init__(self) -> None:
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def acquire(self, name: str) -> None:
        """Wait for a name and hold it."""
        await self._locks[name].acquire()

    def release(self, name: str) -> None:
        """Give a name back."""
        self._locks[name].release()


class Server:
    """A server of our own, restarted when it ends, or one that the user named.

    Attributes:
        generation: counts restarts; what was made on an earlier one is lost.
        lenient: it is MariaDB: it takes what MySQL 8 refuses.
        foreign: it is the user's.
        fatal: how often the server crashed or hung while a user's statement ran, by user and statement.
    """

    def __init__(self, address: servers.Address | None) -> None:
        self.foreign = address is not None
        self.client = "%" if self.foreign else "localhost"
        self.lenient = not self.foreign
        self.generation = 0
        self.names = Names()
        self.fatal: Counter[tuple[str, str]] = Counter()
        self._suspects: list[tuple[str, str]] = []
        self._own = None if address else servers.Embedded()
        self._starting = asyncio.Lock()
        self._condemned = False
        self.admin = session.Admin(address or servers.Address("root", ""))
        self.version = ""

    @property
    def alive(self) -> bool:
        """Whether our own server runs; of the user's it is only known when it is asked."""
        return self._own is None or (self._own.pid is not None and not self._condemned)

    @property
    def data(self) -> Path | None:
        """Folder that holds our own server's databases."""
        return self._own.data if self._own else None

    @property
    def pid(self) -> int | None:
        """Process id of our own server."""
        return self._own.pid if self._own else None

    async def ready(self) -> None:
        """Start our server if it is not running."""
        async with self._starting:
            if self.alive and self.version:
                return
            if self._own is not None:
                await self._settle(self._own)
            self.generation += 1
            self.admin.close()
            if self._own is not None:
                address, mine = await self._own.start(), self.generation
                self.admin = session.Admin(address, lambda: self.condemn(mine))
            self._condemned = False
            async with self.admin.connection() as admin:
                ((version,),) = await session.run(admin, "SELECT VERSION()")
            if self._own is not None:
                version = await asyncio.to_thread(servers.version)
            self.lenient = "MariaDB" in version
            self.version = version

    def suspect(self, user: str, statement: str) -> None:
        """Note a statement during which the server was lost; it is counted once it is known what ended it."""
        if self._own is None:
            self.fatal[user, statement] += 1
        else:
            self._suspects.append((user, statement))

    async def _settle(self, own: servers.Embedded) -> None:
        """Count what our server was lost during, unless something outside has killed it."""
        if self._suspects and not await own.killed_from_outside():
            self.fatal.update(self._suspects)
        self._suspects.clear()

    def condemn(self, generation: int) -> None:
        """Have a server that hangs replaced."""
        self._condemned = self._condemned or generation == self.generation

    async def stop(self) -> None:
        """Close what is open and kill our server."""
        self.admin.close()
        if self._own is not None:
            await self._own.stop()
