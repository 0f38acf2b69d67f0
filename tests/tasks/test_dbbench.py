"""DBBench on a real MariaDB: stored answers, hostile SQL, many episodes on one name, the degraded engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from glob import glob
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from contexts import samples_of, task_context
from databases import FIXTURE, episode, said

from harness.models.api import Call, LiveEpisodes
from harness.running.activity import Activity
from harness.running.rollout import run_episode
from harness.running.task_run import TaskRun
from harness.storage.store import Attempt
from harness.types import Context, Message, Profile, Reply, Row, Sample
from tasks.dbbench import session
from tasks.dbbench import world as worlds
from tasks.dbbench.server import Embedded
from tasks.dbbench.task import TASK
from tasks.dbbench.world import DbWorld

SHORT = {"statement_s": "1"}
CLEAN = {"information_schema", "mysql", "mariadb.sys", "root"}


class Player:
    """Answers with what a function says."""

    name = "player"

    def __init__(self, answer: Callable[[Call], Awaitable[str]]) -> None:
        self._answer = answer

    def render(self, messages: Any, suite: str = "", task: str = "") -> str:
        return "\n".join(message.content for message in messages)

    async def complete(self, call: Call) -> Reply:
        return Reply(await self._answer(call))


def context(
    folder: Path, work: Path, profile: Profile = "paper", given: Mapping[str, Any] | None = None
) -> Context:
    source = "fixture" if folder == FIXTURE else "mirror"
    return task_context(TASK, folder, work, profile=profile, source=source, **(given or {}))


async def oracle(ctx: Context, world: DbWorld, sample: Sample) -> Attempt:
    player, live = TASK.oracle(ctx, sample), LiveEpisodes()

    async def answer(call: Call) -> str:
        found = live.get("dbbench", sample.id, 0)
        assert found is not None
        return await player.reply(found.observation)

    setup = TaskRun(TASK.spec, world, Player(answer), live, oracle=lambda _: player)  # type: ignore[arg-type]
    return await run_episode(setup, sample, 0, Activity())


async def played(ctx: Context, world: DbWorld, split: str, step: int = 1) -> list[Attempt]:
    gate = asyncio.Semaphore(16)

    async def one(sample: Sample) -> Attempt:
        async with gate:
            return await oracle(ctx, world, sample)

    return list(await asyncio.gather(*map(one, samples_of(TASK, ctx, split)[::step])))


def failed(attempts: list[Attempt]) -> list[str]:
    assert [a.error for a in attempts if a.outcome == "infra_error"] == []
    return [a.sample for a in attempts if a.value != 1.0]


def headline(attempts: list[Attempt]) -> dict[str, float]:
    rows = [Row(a.sample, 0, a.outcome, a.value or 0.0, a.metrics, a.labels) for a in attempts]  # type: ignore[arg-type]
    return dict(TASK.aggregate(rows))


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DbWorld]:
    async with TASK.world(context(FIXTURE, tmp_path_factory.mktemp("work"), given=SHORT)) as opened:
        assert isinstance(opened, DbWorld)
        yield opened


async def names(world: DbWorld) -> set[str]:
    assert world.server is not None
    async with world.server.admin.connection() as admin:
        databases = await session.run(admin, "SHOW DATABASES")
        users = await session.run(admin, "SELECT user FROM mysql.user")
    return {name for (name,) in (*databases, *users)}


# -- the stored answers


async def test_released_std_fails_only_where_its_stored_hash_is_wrong(mirror: Path, tmp_path: Path):
    ctx = context(mirror / "dbbench", tmp_path)
    async with TASK.world(ctx) as world:
        attempts = await played(ctx, world, "std")  # type: ignore[arg-type]
        assert len(attempts) == 300
        assert failed(attempts) == ["std/225"]
        numbers = headline(attempts)
        assert [numbers[k] for k in ("SELECT", "INSERT", "UPDATE")] == [1.0, 1.0, 0.99]
        assert 100 * numbers["overall"] == pytest.approx(TASK.spec.ceiling["paper", "mirror"])
        assert numbers["fixed"] == 1.0
        broken = [a.sample for a in attempts if "cannot be loaded" in a.note]
        assert broken == ["std/13", "std/14", "std/17", "std/77"]
        assert await names(world) == CLEAN  # type: ignore[arg-type]
        dev = await played(ctx, world, "dev")  # type: ignore[arg-type]
        assert failed(dev) == []
        assert [a.sample for a in dev if "cannot be loaded" in a.note] == ["dev/5"]


@pytest.mark.parametrize("step", [10, pytest.param(1, marks=pytest.mark.slow)])
async def test_mended_std_is_solved_whole(step: int, mirror: Path, tmp_path: Path):
    ctx = context(mirror / "dbbench", tmp_path, "fixed")
    async with TASK.world(ctx) as world:
        attempts = await played(ctx, world, "std", step)  # type: ignore[arg-type]
    assert len(attempts) == 300 / step
    assert failed(attempts) == []
    assert [a.note for a in attempts if a.note] == []


async def test_untouched_tables_earn_nothing(mirror: Path, tmp_path: Path):
    ctx = context(mirror / "dbbench", tmp_path)
    async with TASK.world(ctx) as world:
        for sample in samples_of(TASK, ctx, "std")[100:300:25]:
            opened = await world.episode(sample, {}, 0)
            await opened.reset()
            score = await opened.score()
            assert score.value == 0.0  # type: ignore[union-attr]
            await opened.close()


# -- hostile SQL

HOSTILE = {
    "SELECT SLEEP(1000)": "3024 (HY000): Query execution was interrupted",
    "SET STATEMENT max_statement_time=0 FOR SELECT SLEEP(1000)": "3024 (HY000)",
    "SELECT COUNT(*) FROM `Village boats` a, `Village boats` b, `Village boats` c, `Village boats` d, "
    + ", ".join(f"`Village boats` x{n}" for n in range(12)): "3024 (HY000)",
    "SELECT * FROM `Village boats` a, " + ", ".join(f"`Village boats` x{n}" for n in range(20)): "[('Heron'",
    "SELECT LOAD_FILE('/etc/passwd')": "[(None,)]",
    "SELECT 'x' INTO OUTFILE '/tmp/dbbench_escape'": "1227 (42000): Access denied",
    "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE `Village boats`": "3948 (42000)",
    "USE mysql": "1044 (42000): Access denied",
    "SELECT * FROM mysql.user": "1142 (42000): SELECT command denied",
    "CREATE DATABASE other": "1044 (42000): Access denied",
    "GRANT ALL ON *.* TO CURRENT_USER()": "1045 (28000): Access denied",
    "CREATE USER other": "1227 (42000): Access denied",
    "SET GLOBAL max_connections = 1": "1227 (42000): Access denied",
    "SHUTDOWN": "1227 (42000): Access denied",
    "SET PASSWORD = PASSWORD('x')": "[]",
    "KILL CONNECTION_ID()": "2013 (HY000): Lost connection to MySQL server during query",
    "LOCK TABLES `Village boats` WRITE": "[]",
    "SELECT GET_LOCK('a', 1)": "[(1,)]",
}


@pytest.mark.parametrize("sql", HOSTILE, ids=lambda sql: str(sql)[:30])
async def test_hostile_sql_is_contained(world: DbWorld, sql: str):
    async with episode(world) as opened:
        assert (await said(opened, sql)).startswith(HOSTILE[sql])
        assert await said(opened, "SELECT COUNT(*) FROM `Village boats`") == "[(5,)]"
    assert await asyncio.to_thread(glob, "/tmp/dbbench_escape*") == []
    assert await names(world) == CLEAN


async def test_dropping_ones_own_database_harms_nobody_else(world: DbWorld):
    async with episode(world) as opened, episode(world, 1) as other:
        assert await said(opened, "DROP DATABASE `Village boats`") == "[]"
        assert "doesn't exist" in await said(opened, "SELECT * FROM `Village boats`.`Village boats`")
        assert await said(opened, "CREATE DATABASE `Village boats`") == "[]"
        assert await said(other, "SELECT COUNT(*) FROM `Bakery sales`") == "[(4,)]"
    async with episode(world) as again:
        assert await said(again, "SELECT COUNT(*) FROM `Village boats`") == "[(5,)]"
    assert await names(world) == CLEAN


async def test_an_underscore_in_a_name_is_no_wildcard(world: DbWorld):
    def named(name: str) -> Sample:
        table = {"table_name": name, "table_info": {"columns": [{"name": "a"}], "rows": [["1"]]}}
        texts = {"description": "", "add_description": "", "type": ["other"], "label": ["1"]}
        return Sample(name, {**texts, "table": table})

    first, second = [await world.episode(named(name), {}, 0) for name in ("a_b%", "axbyy")]
    await first.reset()
    await second.reset()
    assert (await said(first, "SELECT * FROM axbyy.axbyy")).startswith("1142 (42000)")
    assert await said(first, "SELECT * FROM `a_b%`.`a_b%`") == "[('1',)]"
    await first.close()
    await second.close()


# -- upstream's manners


async def test_batches_are_out_of_sync_and_undone_unless_they_commit(world: DbWorld):
    out = "Commands out of sync; you can't run this command now"
    count = "SELECT COUNT(*) FROM `Village boats`"
    row = "INSERT INTO `Village boats` VALUES ('a', 'b', 'c', 'd')"
    async with episode(world) as opened:
        assert await said(opened, f"{row}; {count}") == out
        assert await said(opened, f"{count};") == "[(5,)]"
        assert await said(opened, f"{row}; COMMIT; {row}") == out
        assert await said(opened, count) == "[(6,)]"
        assert await said(opened, f"{row}; CREATE TABLE t (a INT)") == out
        assert await said(opened, count) == "[(7,)]"
        assert (await said(opened, "SELEC 1; SELECT 2")).startswith("1064 (42000)")


async def test_nothing_of_a_session_survives_a_statement(world: DbWorld):
    async with episode(world) as opened:
        await said(opened, "SET @a = 5")
        assert await said(opened, "SELECT @a") == "[(None,)]"
        await said(opened, "START TRANSACTION")
        await said(opened, "CREATE TEMPORARY TABLE t (a INT)")
        assert (await said(opened, "SELECT * FROM t")).startswith("1146 (42S02)")


async def test_rows_and_errors_read_as_upstream_printed_them(world: DbWorld):
    async with episode(world) as opened:
        boats = "`Village boats`"
        shown = await said(
            opened, f"SELECT 1.5, DATE('2020-01-02'), NULL, x'6162', SUM(Length), TRUE FROM {boats}"
        )
        assert shown == "[(Decimal('1.5'), datetime.date(2020, 1, 2), None, bytearray(b'ab'), 63.0, 1)]"
        assert await said(opened, f"SELECT Boat FROM {boats}.{boats} WHERE 1 = 0") == "[]"
        assert await said(opened, "-- a remark") == "[]"
        long = await said(opened, "SELECT REPEAT('é', 2000)")
        assert len(long) == 800 + len("[TRUNCATED]")
        assert long.endswith("é[TRUNCATED]")
        assert (
            await said(opened, f"SELECT nope FROM {boats}")
            == "1054 (42S22): Unknown column 'nope' in 'field list'"
        )
        assert await said(opened, f"SELECT Boat, COUNT(*) FROM {boats}") == (
            "1140 (42000): In aggregated query without GROUP BY, expression #1 of SELECT list contains "
            "nonaggregated column 'Village boats.Village boats.Boat'; this is incompatible with "
            "sql_mode=only_full_group_by"
        )
        grouped = await said(opened, f"SELECT Built, Boat FROM {boats} GROUP BY Built")
        assert grouped.startswith("1055 (42000): Expression #2 of SELECT list is not in GROUP BY clause")
        strict = await said(opened, f"UPDATE {boats} SET Berth = 'x' WHERE Boat = 1")
        assert strict == "1292 (22007): Truncated incorrect DOUBLE value: 'Heron'"
        assert (await said(opened, "SELECT Rank FROM t")).endswith("syntax to use near 'FROM t' at line 1")


async def test_names_of_columns_follow_the_profile(world: DbWorld, tmp_path: Path):
    async with episode(world, 4) as opened:
        shown = await said(opened, r"SELECT `First\\nclimbed by` FROM `Hills/Walks`.`Hills/Walks` LIMIT 1")
        assert shown == "[('Ward',)]"
    ctx = context(FIXTURE, tmp_path, "fixed")
    async with TASK.world(ctx) as fixed, episode(fixed, 4) as opened:  # type: ignore[arg-type]
        assert await said(opened, r"SELECT `First\nclimbed by` FROM `Hills/Walks` LIMIT 1") == "[('Ward',)]"


async def test_an_operation_without_sql_ends_the_episode(world: DbWorld):
    async with episode(world) as opened:
        observation = await opened.step(Reply("Action: Operation\n```SQL\nSELECT 1\n```"))
        assert observation.done
        score = await opened.score()
        assert (score.value, score.outcome) == (0.0, "model_error")


async def test_the_table_counts_whatever_the_ending(world: DbWorld):
    async with episode(world, 2) as opened:
        await said(opened, "UPDATE `Village boats` SET Berth='Slipway 2' WHERE Boat='Dunlin'")
        assert (await opened.step(Reply("I am lost"))).done
        score = await opened.score()
        assert (score.value, score.metrics["UPDATE"]) == (1.0, 1.0)


async def test_the_16th_reply_is_read_for_an_answer(world: DbWorld):
    async def answer(call: Call) -> str:
        if call.key.call < 15:
            return "Action: Operation\n```sql\nSELECT 1\n```"
        return 'Action: Operation\n```sql\nSELECT 1\n```\nFinal Answer: ["Harbour, south"]'

    sample = samples_of(TASK, context(FIXTURE, Path()), "std")[0]
    setup = TaskRun(TASK.spec, world, Player(answer), LiveEpisodes())  # type: ignore[arg-type]
    attempt = await run_episode(setup, sample, 0, Activity())
    assert (attempt.outcome, attempt.value, len(attempt.calls)) == ("scored", 1.0, 16)


async def test_the_first_messages(world: DbWorld):
    sample = samples_of(TASK, context(FIXTURE, Path()), "std")[0]
    opened = await world.episode(sample, {}, 0)
    observation = await opened.reset()
    await opened.close()
    assert [message.role for message in observation.messages] == ["user", "assistant", "user"]
    assert observation.messages[2] == Message(
        "user", f"{sample.data['description']}\n{sample.data['add_description']}", "task"
    )
    assert observation.ask is not None
    assert observation.ask.max_new_tokens == 128


# -- many at once


async def test_16_episodes_on_one_name_are_each_alone(world: DbWorld):
    async def one(n: int) -> str:
        async with episode(world) as opened:
            await said(opened, f"INSERT INTO `Village boats` VALUES ('{n}', '', '', '')")
            return await said(
                opened, "SELECT COUNT(*), MAX(Built = '') FROM `Village boats` WHERE Built = ''"
            )

    async with asyncio.timeout(120):
        shown = await asyncio.gather(*map(one, range(16)))
    assert shown == ["[(1, 1)]"] * 16
    assert await names(world) == CLEAN


async def test_a_waiter_that_gives_up_blocks_nobody(world: DbWorld):
    async with episode(world):
        sample = samples_of(TASK, context(FIXTURE, Path()), "std")[0]
        waiter = await world.episode(sample, {}, 0)
        waiting = asyncio.create_task(waiter.reset())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        await waiter.close()
    async with asyncio.timeout(60), episode(world) as opened:
        assert await said(opened, "SELECT 1") == "[(1,)]"


# -- the user's server, and the degraded engine


async def test_a_server_that_is_not_ours_keeps_what_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    theirs = Embedded()
    address = await theirs.start()
    try:
        monkeypatch.setattr(worlds, "address_of", lambda _: address)
        ctx = context(FIXTURE, tmp_path)
        async with TASK.world(ctx) as opened:
            assert failed(await played(ctx, opened, "std")) == []  # type: ignore[arg-type]
            left = await opened.episode(samples_of(TASK, ctx, "std")[1], {}, 0)
            await left.reset()  # and never closed, as by a run that is killed
        assert theirs.pid is not None
        async with TASK.world(ctx) as opened:
            async with opened.server.admin.connection() as admin:  # type: ignore[attr-defined]
                await session.run(admin, "CREATE DATABASE `Village boats`")
            attempts = await played(ctx, opened, "std")  # type: ignore[arg-type]
            refused = [a.sample for a in attempts if a.outcome == "infra_error"]
            assert refused == ["std/0", "std/2", "std/3"]
            assert all(
                "needs a server of its own" in (a.error or "") for a in attempts if a.sample in refused
            )
            assert {a.value for a in attempts if a.sample not in refused} == {1.0}
            assert await names(opened) == CLEAN | {"Village boats"}  # type: ignore[arg-type]
    finally:
        await theirs.stop()


async def test_sqlite_is_marked_and_close(tmp_path: Path):
    ctx = context(FIXTURE, tmp_path, given={"engine": "sqlite", **SHORT})
    async with TASK.world(ctx) as opened:
        assert any("not comparable" in note for note in opened.notes)
        assert opened.stand_ins == ("SQLite for MySQL",)
        attempts = await played(ctx, opened, "std")  # type: ignore[arg-type]
        assert failed(attempts) == ["std/11"], "SQLite knows no accent-insensitive comparison"
        async with episode(opened) as one:  # type: ignore[arg-type]
            assert "not authorized" in await said(one, "ATTACH 'x' AS y")
            endless = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT COUNT(*) FROM c"
            assert await said(one, endless) == "interrupted"
