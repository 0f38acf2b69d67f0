"""Connections to a database server: kept ones to administer it, a new one for each statement of a model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from harness.errors import EnvironmentFault
from tasks.dbbench import output
from tasks.dbbench.server import Address

if TYPE_CHECKING:
    from asyncmy.connection import Connection


CONNECT_S = 15.0
ADMIN_S = 30.0
LOCK_S = 25
GRACE_S = 5.0
"""How much longer than the server's own limit we wait for a statement before killing it."""

ROLLBACK_S = 40.0
"""How long a killed statement may take to undo its work; a server that needs more is replaced."""

LOCKED = 1205
LOST = (2003, 2006, 2013, 1053, 1040)
DENIED = (1045, 1698)
_COM_SET_OPTION = 0x1B
_MULTI_OFF = b"\x01\x00"


class Denied(Exception):
    """The episode's user cannot log in any more: its SQL changed the password."""


async def connect(address: Address, user: str, password: str, database: str | None = None) -> Connection:
    """Open a connection that takes one statement at a time and commits it.

    Raises:
        EnvironmentFault: the server is not there.
        Denied: it refuses this user.
        MySQLError: it refuses the database.
    """
    from asyncmy import errors
    from asyncmy.connection import Connection

    at: dict[str, Any] = (
        {"unix_socket": address.socket} if address.socket else {"host": address.host, "port": address.port}
    )
    connection = Connection(
        **at,
        user=user,
        password=password,
        database=database,
        charset="utf8mb4",
        autocommit=True,
    )
    try:
        async with asyncio.timeout(CONNECT_S):
            await connection.connect()
            await connection._execute_command(_COM_SET_OPTION, _MULTI_OFF)  # type: ignore[attr-defined]
            await connection.read_packet()
    except errors.MySQLError as error:
        connection.close()
        code = error.args[0] if error.args else 0
        if code in DENIED:
            raise Denied from error
        if code in LOST or not isinstance(code, int) or code < 1000:
            raise EnvironmentFault(f"no connection to the database server: {error}") from error
        raise
    except OSError as error:  # a timeout is one
        connection.close()
        raise EnvironmentFault(f"no connection to the database server: {error!r}") from error
    except BaseException:
        connection.close()
        raise
    return connection


class Admin:
    """The administrator's connections, kept open between uses.

    Args:
        address: the server.
        gone: called when it does not answer.
    """

    def __init__(self, address: Address, gone: Callable[[], None] = lambda: None) -> None:
        self.address = address
        self._gone = gone
        self._idle: list[Connection] = []

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection; one that failed or was cut off is closed, not kept.

        Raises:
            EnvironmentFault: the server is gone or hangs.
        """
        from asyncmy import errors

        connection: Connection | None = None
        try:
            async with asyncio.timeout(ADMIN_S):
                connection = self._idle.pop() if self._idle else await self._open()
                yield connection
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, errors.MySQLError) and error.args[0] == LOCKED:
                raise EnvironmentFault("a table stays locked by a statement that was killed") from error
            gone = isinstance(error, TimeoutError | OSError | EnvironmentFault)
            if not gone and not (isinstance(error, errors.MySQLError) and lost(error)):
                raise
            self.close()
            self._gone()
            raise EnvironmentFault(f"the database server does not answer: {error!r}") from error
        self._idle.append(connection)

    async def _open(self) -> Connection:
        try:
            connection = await connect(self.address, self.address.user, self.address.password)
        except Denied as error:
            raise EnvironmentFault(f"the database server refuses {self.address.user}") from error
        # A table may be locked for as long as a killed statement undoes its work.
        await run(connection, f"SET SESSION lock_wait_timeout = {LOCK_S}")
        return connection

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().close()


def lost(error: Exception) -> bool:
    """Whether an error says that the server is gone, not that it refused a statement."""
    code = error.args[0] if error.args else 0
    return not isinstance(code, int) or code in LOST or code < 1000


async def run(connection: Connection, sql: str) -> list[tuple[Any, ...]]:
    """Execute one trusted statement and return its rows."""
    cursor = connection.cursor()
    await cursor.execute(sql)
    return list(await cursor.fetchall()) if cursor.description else []


async def observe(connection: Connection, statement: str, home: tuple[str, str]) -> str:
    """Execute one statement of a model and print what it sees; reads no more rows than it is shown.

    Raises:
        EnvironmentFault: the server went away.
    """
    from asyncmy import errors
    from asyncmy.cursors import SSCursor

    cursor = SSCursor(connection)
    try:
        await cursor.execute(statement)
        if not cursor.description:
            return output.rows([])
        rows: list[tuple[Any, ...]] = []
        shown = 0
        while shown <= output.LIMIT and (row := await cursor.fetchone()) is not None:
            rows.append(tuple(row))
            shown += len(repr(rows[-1])) + 2
        return output.rows(rows)
    except errors.MySQLError as error:
        if lost(error):
            raise EnvironmentFault(f"the database server is gone: {error}") from error
        code, message = int(error.args[0]), str(error.args[1]) if len(error.args) > 1 else ""
        return output.error(code, message, getattr(error, "sqlstate", None), statement, home)
    except OSError as error:
        raise EnvironmentFault(f"the database server is gone: {error}") from error
    except (ValueError, TypeError, OverflowError, ArithmeticError) as error:
        # A value the client cannot turn into a Python object, such as a date out of range.
        return output.cut(str(error))


async def batch(connection: Connection, statements: list[str], home: tuple[str, str]) -> str:
    """Execute several statements as upstream's connector did: unseen, and undone unless they commit."""
    await run(connection, "SET autocommit=0")
    for statement in statements:
        shown = await observe(connection, statement, home)
        if shown[:1] != "[":
            return shown
    return output.OUT_OF_SYNC
