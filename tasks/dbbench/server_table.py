"""One sample's database: its own name, its own user, nothing of it left afterwards."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from contextlib import suppress
from typing import Any

from harness.errors import EnvironmentFault, InfraError
from tasks.dbbench import bounds, output, session
from tasks.dbbench import sql as reading
from tasks.dbbench.shared_server import Server
from tasks.dbbench.table import ExecutionOptions, TableContent, quoted

log = logging.getLogger(__name__)

LIVE_STATEMENTS = 8
"""Connections an episode's user may hold; one is in use, more only while killed ones end."""

WATCH_S = 0.2
"""How often the files of a database are looked at while a statement runs."""

FATAL = 2
"""A statement that made the server crash this often is not sent again."""

TOO_MANY = 1226
"""MySQL's error when a user holds all the connections it may."""

SYSTEM = frozenset({"mysql", "sys", "information_schema", "performance_schema", "test"})


class ServerTable:
    """A database named like its table on a shared server; no other episode uses the name until `close`."""

    def __init__(self, server: Server, content: TableContent, options: ExecutionOptions) -> None:
        self._server, self._content, self._options = server, content, options
        # Error texts repeat it, so every attempt has the same; unique because the name is reserved.
        digest = hashlib.blake2b(content.name.lower().encode(), digest_size=8).hexdigest()
        self._user, self._password = f"h{digest}", secrets.token_hex(8)
        self._held = self._ours = False
        self._generation = -1
        self._folder = ""  # of the database, within our own server's data

    async def open(self) -> str:
        if self._content.name.lower() in SYSTEM:
            raise InfraError(f"a table named {self._content.name} cannot have a database of its own")
        await self._server.names.acquire(self._content.name.lower())
        self._held = True
        await self._server.ready()
        self._generation = self._server.generation
        async with self._server.admin.connection() as admin:
            await self._clear(admin)
            self._ours = True  # from here on, whatever has this name may be dropped
            # The user comes first: a database without one of this name was not made here.
            await self._login(admin)
            await session.run(admin, f"CREATE DATABASE {quoted(self._content.name)}")
            return await self._load(admin)

    async def _clear(self, admin: Any) -> None:
        """Remove what a killed run left; a database that is not ours is not touched."""
        server = self._server
        name = admin.escape(self._content.name)
        # The database's folder is its name, with what is no letter or digit written as a code: asked for
        # here, so that it takes no query of its own.
        folder = "''" if server.foreign else f"CONVERT(CONVERT({name} USING filename) USING binary)"
        users = f"SELECT count(*) FROM mysql.user WHERE user = '{self._user}'"
        ((left, encoded),) = await session.run(admin, f"SELECT ({users}), {folder}")
        if left:
            await self._drop(admin)
        elif server.foreign:
            schemas = "information_schema.schemata WHERE schema_name"
            if await session.run(admin, f"SELECT 1 FROM {schemas} = {name}"):
                raise InfraError(
                    f"the server has a database {self._content.name}: it needs a server of its own"
                )
        if not server.foreign:
            self._folder = bytes(encoded).decode("ascii", "surrogateescape")

    async def _login(self, admin: Any) -> None:
        account = f"'{self._user}'@'{self._server.client}'"
        # In GRANT the name of a database is a pattern.
        name = quoted(self._content.name.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%"))
        await session.run(
            admin,
            f"CREATE USER {account} IDENTIFIED BY '{self._password}' "
            f"WITH MAX_USER_CONNECTIONS {LIVE_STATEMENTS}",
        )
        await session.run(admin, f"GRANT ALL ON {name}.* TO {account}")

    async def _load(self, admin: Any) -> str:
        from asyncmy import errors

        content = self._content
        table = f"{quoted(content.name)}.{quoted(content.name)}"
        columns = ", ".join(f"{quoted(column)} TEXT" for column in content.columns)
        rows = ", ".join(f"({', '.join(admin.escape(cell) for cell in row)})" for row in content.rows)
        try:
            await session.run(admin, f"CREATE TABLE {table} ({columns})")
            if rows:
                await session.run(admin, f"INSERT INTO {table} VALUES {rows}")
        except errors.MySQLError as error:
            if session.lost(error):
                raise
            # Some released samples are broken; upstream goes on with a missing or an empty table.
            return str(error)
        return ""

    async def execute(self, statement: str) -> str:
        self._check()
        several = reading.statements(statement)
        if not several:
            return output.rows([])
        if self._options.keywords and self._server.lenient:
            for one in several:
                if (near := reading.reserved(one)) is not None:
                    return reading.syntax_error(near)
        if len(several) > 1 and self._options.several == "reject":
            return reading.syntax_error(statement[statement.find(several[1]) :][:80])
        if any(reading.is_xa(one) for one in several):
            return output.NO_XA
        key = (self._user, statement)
        if self._server.fatal[key] >= FATAL:
            return output.LOST  # a statement that no server survives has failed by itself
        try:
            return await self._executed(several)
        except EnvironmentFault:
            try:
                await self._ask_server()
            except EnvironmentFault:
                self._server.suspect(*key)
                raise
            return output.LOST  # only this connection is dead: a statement can kill its own session

    async def _ask_server(self) -> None:
        """Raise EnvironmentFault unless the server is well."""
        async with self._server.admin.connection() as admin:
            await session.run(admin, "SELECT 1")
        if not self._server.alive:
            raise EnvironmentFault("the database server was condemned")

    async def _executed(self, several: list[str]) -> str:
        """Execute in a session of its own, within the time limit."""
        connection = await self._connect()
        working = asyncio.create_task(self._work(connection, several))
        try:
            too_much = await self._watch(working)
            if not too_much:
                return working.result()
            await self._kill()
            done, _ = await asyncio.wait({working}, timeout=session.ROLLBACK_S)
            if not done:
                self._server.condemn(self._generation)
                raise EnvironmentFault("the database server does not end a statement that was killed")
            with suppress(EnvironmentFault):
                working.result()
            return too_much
        finally:
            working.cancel()
            await asyncio.wait({working})
            connection.close()

    async def _watch(self, working: asyncio.Task[str]) -> str:
        """Wait for a statement; returns what to say when it takes too long or writes too much, else ""."""
        clock = asyncio.get_running_loop().time
        end = clock() + self._options.seconds + session.GRACE_S
        most = max(bounds.DATABASE_MB << 20, self._bytes() + (bounds.STATEMENT_MB << 20))
        while (left := end - clock()) > 0:
            done, _ = await asyncio.wait({working}, timeout=min(left, WATCH_S))
            if done:
                return ""
            if self._bytes() > most:
                return output.FULL
        return output.TIMED_OUT

    def _bytes(self) -> int:
        """What the database's files take; 0 on a server whose files are not ours to see."""
        data = self._server.data
        return bounds.size(data / self._folder) if data is not None and self._folder else 0

    async def _work(self, connection: Any, several: list[str]) -> str:
        if self._server.lenient:
            await session.run(connection, f"SET max_statement_time={self._options.seconds:g}")
        home = (self._content.name, next(iter(self._content.columns), ""))
        if len(several) == 1:
            return await session.observe(connection, several[0], home)
        if self._options.several == "allow":
            return [await session.observe(connection, one, home) for one in several][-1]
        return await session.batch(connection, several, home)

    async def _connect(self) -> Any:
        """A new session for each statement, as upstream reconnects before each."""
        from asyncmy import errors

        address, name = self._server.admin.address, self._content.name
        for _ in range(3):
            try:
                return await session.connect(address, self._user, self._password, name)
            except session.Denied:
                async with self._server.admin.connection() as admin:
                    await session.run(admin, f"DROP USER IF EXISTS '{self._user}'@'{self._server.client}'")
                    await self._login(admin)
            except errors.MySQLError as error:
                if error.args[0] == TOO_MANY:
                    await self._kill()
                else:  # the model dropped its database; it may create it anew
                    name = None
        raise EnvironmentFault("no connection for the episode's user")

    async def state(self) -> str:
        from asyncmy import errors

        self._check()
        content = self._content
        columns = ", ".join(map(quoted, content.columns))
        table = f"{quoted(content.name)}.{quoted(content.name)}"
        rows = f"SELECT SUBSTRING(MD5(CONCAT_WS(',', {columns})), 1, 5) AS h FROM {table}"
        try:
            async with self._server.admin.connection() as admin:
                await self._kill_with(admin)
                found = await session.run(admin, f"SELECT MD5(GROUP_CONCAT(h ORDER BY h)) FROM ({rows}) AS r")
        except errors.MySQLError as error:
            return str(error)
        return str(found)

    async def close(self) -> None:
        if not self._held:
            return
        self._held = False
        try:
            if self._ours and self._generation == self._server.generation and self._server.alive:
                async with self._server.admin.connection() as admin:
                    await self._drop(admin)
        except EnvironmentFault as fault:
            log.info("%s went with its server: %s", self._content.name, fault)
        finally:
            self._server.names.release(self._content.name.lower())

    async def _drop(self, admin: Any) -> None:
        await self._kill_with(admin)
        if not self._server.foreign:
            await _undo_prepared(admin)
        await session.run(admin, f"DROP DATABASE IF EXISTS {quoted(self._content.name)}")
        await session.run(admin, f"DROP USER IF EXISTS '{self._user}'@'{self._server.client}'")

    async def _kill(self) -> None:
        async with self._server.admin.connection() as admin:
            await self._kill_with(admin)

    async def _kill_with(self, admin: Any) -> None:
        from asyncmy import errors

        threads = f"SELECT id FROM information_schema.processlist WHERE user = '{self._user}'"
        for (thread,) in await session.run(admin, threads):
            with suppress(errors.OperationalError, errors.InternalError):  # it ended by itself
                await session.run(admin, f"KILL {int(thread)}")

    def _check(self) -> None:
        if not self._held or self._generation != self._server.generation or not self._server.alive:
            raise EnvironmentFault("the database server was restarted")


async def _undo_prepared(admin: Any) -> None:
    """Roll back transactions that outlived their sessions (XA PREPARE): they hold locks for ever."""
    from asyncmy import errors

    for *_, xid in await session.run(admin, "XA RECOVER FORMAT='SQL'"):
        with suppress(errors.MySQLError):  # it belongs to a session that still runs, or is gone
            await session.run(admin, f"XA ROLLBACK {xid}")
