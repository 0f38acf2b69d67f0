"""DBBench when a model's SQL wants the machine: memory, disk, locks that outlive it, and a dead server."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from contexts import task_context
from databases import FIXTURE, episode, pid_of, said

from harness.errors import EnvironmentFault
from tasks.dbbench import bounds
from tasks.dbbench.server import Embedded
from tasks.dbbench.task import TASK
from tasks.dbbench.world import DbWorld

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DbWorld]:
    work = tmp_path_factory.mktemp("work")
    ctx = task_context(TASK, FIXTURE, work, source="fixture", statement_s="20")
    async with TASK.world(ctx) as opened:
        assert isinstance(opened, DbWorld)
        yield opened


def resident_mb(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


def routine(body: str) -> str:
    return f"CREATE PROCEDURE p() BEGIN DECLARE i INT DEFAULT 0; {body} END"


MANY = "INSERT INTO t SELECT REPEAT('x', 1000) FROM seq_1_to_3000000"


async def test_no_session_raises_its_own_limits(world: DbWorld):
    async with episode(world) as opened:
        for name, most in (("max_heap_table_size", 16 << 20), ("max_session_mem_used", 64 << 20)):
            await said(opened, f"SET {name} = 4000000000; SELECT 1")
            body = f"SET {name} = 4000000000; SELECT @@{name};"
            assert await said(opened, f"CREATE OR REPLACE PROCEDURE p() BEGIN {body} END") == "[]"
            assert await said(opened, "CALL p()") == f"[({most},)]"


async def test_tables_in_memory_are_made_on_disk_and_fill_no_memory(world: DbWorld):
    before = resident_mb(pid_of(world))
    body = f"SET max_heap_table_size = 4000000000; {MANY};"
    async with episode(world) as opened:
        assert await said(opened, "CREATE TABLE t (a VARCHAR(1000)) ENGINE=MEMORY") == "[]"
        assert "ENGINE=InnoDB" in await said(opened, "SHOW CREATE TABLE t")
        assert await said(opened, routine(body)) == "[]"
        assert (await said(opened, "CALL p()")).startswith("1114 (HY000)")
        assert await said(opened, "SELECT COUNT(*) FROM `Village boats`") == "[(5,)]"
    assert resident_mb(pid_of(world)) - before < 300


async def test_user_variables_end_at_the_sessions_memory(world: DbWorld):
    before = resident_mb(pid_of(world))
    body = (
        "WHILE i < 1000 DO EXECUTE IMMEDIATE CONCAT('SET @v', i, ' = REPEAT(''x'', 4000000)');"
        " SET i = i + 1; END WHILE;"
    )
    async with episode(world) as opened:
        assert await said(opened, routine(body)) == "[]"
        assert "max-session-mem-used" in await said(opened, "CALL p()")
        assert await said(opened, "SELECT COUNT(*) FROM `Village boats`") == "[(5,)]"
    assert resident_mb(pid_of(world)) - before < 300


async def test_a_statement_that_writes_without_end_is_stopped_and_scored(world: DbWorld):
    assert world.server is not None
    assert world.server.data is not None
    async with episode(world) as opened, episode(world, 1) as other:
        assert await said(opened, "CREATE TABLE t (a VARCHAR(1000))") == "[]"
        assert await said(opened, MANY) == "1114 (HY000): The table is full"
        folder = world.server.data / "Village@0020boats"
        assert bounds.size(folder) < 2 * bounds.DATABASE_MB << 20
        assert await said(opened, "SELECT COUNT(*) FROM t") == "[(0,)]"
        assert await said(other, "SELECT COUNT(*) FROM `Bakery sales`") == "[(4,)]"
        assert await said(opened, MANY) == "1114 (HY000): The table is full"
    assert not folder.exists()


async def test_a_prepared_transaction_is_refused_and_its_locks_never_stay(world: DbWorld):
    async with episode(world) as opened:
        columns = await said(opened, "SHOW COLUMNS FROM `Village boats`")
        change = f"UPDATE `Village boats` SET `{columns.split(chr(39))[1]}` = 'x'"
        for refused in ("XA START 'a'", "/* so */ xa recover", "/*! XA */ START 'a'", "SELECT 1; XA END 'a'"):
            assert (await said(opened, refused)).startswith("1235 (42000)")
        parts = ("XA START 'a'", change, "XA END 'a'", "XA PREPARE 'a'")
        body = " ".join(f'EXECUTE IMMEDIATE "{part}";' for part in parts)
        assert await said(opened, routine(body)) == "[]"
        assert await said(opened, "CALL p()") == "[]"
        assert (await said(opened, change)).startswith("1205 (HY000)")  # its own lock, its own failure
    async with episode(world) as again:
        assert await said(again, change) == "[]"


async def test_the_server_lives_in_a_memory_group(world: DbWorld):
    lines = await asyncio.to_thread(Path(f"/proc/{pid_of(world)}/cgroup").read_text)
    if "dbbench" not in lines:
        from tasks._shared.sandbox import cgroups

        assert cgroups.discover()[0] is None, "groups can be made, and the server is in none"
        limits = await asyncio.to_thread(Path(f"/proc/{pid_of(world)}/limits").read_text)
        assert f"{2 * bounds.MEMORY_MB << 20}" in limits


async def _struck(world: DbWorld, statement: str, sign: signal.Signals) -> str:
    """What the model sees of a statement during which the server gets a signal, if it is executed at all."""
    async with episode(world) as opened:
        saying = asyncio.create_task(said(opened, statement))
        async with asyncio.timeout(60):
            while not (saying.done() or await _runs(world, statement)):
                pass
        if not saying.done():
            os.kill(pid_of(world), sign)
        return await saying


@pytest.mark.slow
async def test_a_statement_that_no_server_survives_is_the_models_failure(world: DbWorld):
    for _ in range(2):
        with pytest.raises(EnvironmentFault):
            await _struck(world, "SELECT SLEEP(19)", signal.SIGABRT)
    shown = await _struck(world, "SELECT SLEEP(19)", signal.SIGABRT)
    assert shown.startswith("2013 (HY000): Lost connection")
    async with episode(world) as after:
        assert await said(after, "SELECT COUNT(*) FROM `Village boats`") == "[(5,)]"


async def test_a_server_that_is_killed_from_outside_is_never_the_statements_failure(world: DbWorld):
    for _ in range(3):
        with pytest.raises(EnvironmentFault):
            await _struck(world, "SELECT SLEEP(18)", signal.SIGKILL)


async def _runs(world: DbWorld, sql: str) -> bool:
    from tasks.dbbench import session

    assert world.server is not None
    async with world.server.admin.connection() as admin:
        shown = await session.run(admin, "SELECT info FROM information_schema.processlist")
    return any(sql == info for (info,) in shown)


async def test_a_server_killed_while_it_makes_its_tables_is_started_again():
    server = Embedded()
    starting = asyncio.create_task(server.start())
    killed = False
    async with asyncio.timeout(120):
        while not starting.done():
            if not killed and (pid := server.pid) is not None and b"--bootstrap" in _command(pid):
                os.kill(pid, signal.SIGKILL)
                killed = True
            await asyncio.sleep(0)
    try:
        assert killed
        assert (await starting).socket
    finally:
        await server.stop()


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
