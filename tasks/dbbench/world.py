"""Opens what the episodes of a run share: a server, or SQLite instead."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import unquote, urlsplit

from harness.episode import BaseWorld
from harness.errors import UsageError
from harness.types import Ask, Capacity, Chat, Context, Sample
from tasks.dbbench import server as servers
from tasks.dbbench.episode import MAX_NEW_TOKENS, DbBenchRules, DbEpisode
from tasks.dbbench.prompts import DbBenchPrompts
from tasks.dbbench.server_table import ServerTable
from tasks.dbbench.shared_server import Server
from tasks.dbbench.table import ExecutionOptions, Table, TableContent

log = logging.getLogger(__name__)

ADDRESS = "HARNESS_MYSQL"
"""Environment variable with the server to use instead of our own: mysql://USER:PASSWORD@HOST:PORT."""

CONTEXT = 4096


class DbWorld(BaseWorld):
    """Builds episodes; owns the server."""

    def __init__(self, ctx: Context, rules: DbBenchRules, server: Server | None) -> None:
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
        content = TableContent.of(sample.data["table"], escaped=option.identifiers == "escaped")
        options = ExecutionOptions(
            seconds=option.statement_s,
            several=option.multi_statements,
            keywords=option.mysql_keywords,
        )
        if self.server is None:
            from tasks.dbbench.sqlite_table import SqliteTable

            return SqliteTable(content, options)
        return ServerTable(self.server, content, options)


@asynccontextmanager
async def open_world(ctx: Context) -> AsyncIterator[DbWorld]:
    """Start or find the server; ours is killed and swept away at the end."""
    truncate = CONTEXT - MAX_NEW_TOKENS if ctx.profile == "paper" else None
    rules = DbBenchRules(DbBenchPrompts.read(ctx.data), Ask(MAX_NEW_TOKENS, truncate=truncate), ctx.profile)
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
