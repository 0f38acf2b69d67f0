"""The server that all episodes of a run share, and who holds which name on it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from harness.data import literals
from harness.episode import BaseWorld
from harness.errors import UsageError
from harness.types import Ask, Capacity, Chat, Context, Sample
from tasks.dbbench import server as servers
from tasks.dbbench import session
from tasks.dbbench.content import Content, Manner, Table
from tasks.dbbench.episode import MAX_NEW_TOKENS, DbEpisode, Rules
from tasks.dbbench.table import ServerTable

log = logging.getLogger(__name__)

ADDRESS = "HARNESS_MYSQL"
"""Environment variable with the server to use instead of our own: mysql://USER:PASSWORD@HOST:PORT."""

CONTEXT = 4096
PROMPT = "THUDM/AgentTuning:AgentBench.old/src/tasks/dbbench/__init__.py:big_prompt"
ASSENT = "THUDM/AgentTuning:AgentBench.old/src/tasks/dbbench/__init__.py:process#8"


class Names:
    """One holder a name; those who wait get it in the order they came."""

    def __init__(self) -> None:
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def acquire(self, name: str) -> None:
        """Wait for a name and hold it."""
        await self._locks[name].acquire()

    def release(self, name: str) -> None:
        """Give a name back."""
        self._locks[name].release()


class Server:
    """A server of our own, restarted when it dies, or one that the user named.

    Attributes:
        generation: counts restarts; what was made on an earlier one is lost.
        lenient: it is MariaDB: it takes what MySQL 8 refuses.
        foreign: it is the user's.
        fatal: how often the server died or hung while a user's statement ran, by user and statement.
    """

    def __init__(self, address: servers.Address | None) -> None:
        self.foreign = address is not None
        self.client = "%" if self.foreign else "localhost"
        self.lenient = not self.foreign
        self.generation = 0
        self.names = Names()
        self.fatal: Counter[tuple[str, str]] = Counter()
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

    def condemn(self, generation: int) -> None:
        """Have a server that hangs replaced."""
        self._condemned = self._condemned or generation == self.generation

    async def stop(self) -> None:
        """Close what is open and kill our server."""
        self.admin.close()
        if self._own is not None:
            await self._own.stop()


class DbWorld(BaseWorld):
    """Builds episodes; owns the server."""

    def __init__(self, ctx: Context, rules: Rules, server: Server | None) -> None:
        self.server = server
        self._ctx, self._rules = ctx, rules
        self.capacity = Capacity(memory_mb=2, cpu=0.02)
        if server is None:
            self.notes = ("DEGRADED: SQLite stands in for MySQL; not comparable",)
            self.stand_ins = ("SQLite for MySQL",)
        self.fingerprint = {"server": server.version if server else "sqlite"}

    async def episode(self, sample: Sample, chats: Mapping[str, Chat], seed: int) -> DbEpisode:
        """Build an episode; nothing here is random."""
        del chats, seed
        return DbEpisode(sample, self._table(sample), self._rules)

    def _table(self, sample: Sample) -> Table:
        option = self._ctx.options
        content = Content.of(sample.data["table"], escaped=option.identifiers == "escaped")
        manner = Manner(
            seconds=option.statement_s,
            several=option.multi_statements,
            keywords=option.mysql_keywords,
        )
        if self.server is None:
            from tasks.dbbench.sqlite import SqliteTable

            return SqliteTable(content, manner)
        return ServerTable(self.server, content, manner)


@asynccontextmanager
async def open_world(ctx: Context) -> AsyncIterator[DbWorld]:
    """Start or find the server; ours is killed and swept away at the end."""
    texts = literals(ctx.data / "prompts.json")
    truncate = CONTEXT - MAX_NEW_TOKENS if ctx.profile == "paper" else None
    rules = Rules(texts[PROMPT], texts[ASSENT], Ask(MAX_NEW_TOKENS, truncate=truncate), ctx.profile)
    if ctx.options.engine == "sqlite":
        log.warning("dbbench runs on SQLite: not comparable with any published score")
        yield DbWorld(ctx, rules, None)
        return
    server = Server(address_of(os.environ.get(ADDRESS, "")))
    try:
        await server.ready()
        yield DbWorld(ctx, rules, server)
    finally:
        await server.stop()


def address_of(url: str) -> servers.Address | None:
    """Read the address of the user's server; empty means our own.

    Raises:
        UsageError: it is no mysql:// address.
    """
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme != "mysql" or not parts.hostname:
        raise UsageError(f"{ADDRESS} must look like mysql://USER:PASSWORD@HOST:PORT")
    user, password = unquote(parts.username or "root"), unquote(parts.password or "")
    return servers.Address(user, password, host=parts.hostname, port=parts.port or 3306)
