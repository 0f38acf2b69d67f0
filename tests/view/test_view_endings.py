"""What an attempt did last stands in the list of episodes and is asked for there."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from viewed_runs import HOSTILE, attempt, begun, private

from harness.report.load import FILE
from harness.storage.records import Attempt, Turn
from harness.types import Message
from harness.view.library import Library
from harness.view.query import Query
from harness.view.run_view import RunView

FOUND_S = 60.0


def acted(n: int, *actions: str, told: bool = True) -> Attempt:
    """An attempt whose turns log an action each; the last also after it, as an episode that ends logs it."""
    made = attempt(n, 1.0, *(f"reply {action}" for action in actions))
    made.calls = [
        replace(call, info={"action": action, "at": place})
        for place, (call, action) in enumerate(zip(made.calls, actions, strict=True))
    ]
    if told:
        made.last = Turn((Message("user", "it is over"),), info={"action": "stop", "ended": True})
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with closing(begun(tmp_path)) as store:
        store.add(acted(1, "look", "open drawer"))
        store.add(acted(2, "look", "take 'apple'", told=False))
        store.add(acted(3, HOSTILE, told=False))
        store.add(attempt(4, None, error="Fault: gone"))
        store.add(private())
    return tmp_path / FILE


def endings(run: RunView) -> dict[str, str]:
    return {row["sample"]: row["end"] for row in run.page(Query(sort="sample"))["rows"]}


def test_the_last_log_is_the_one_after_the_last_reply_or_of_it(path: Path):
    with closing(RunView(path)) as run:
        found = endings(run)
    assert found["s/001"] == "action stop · ended true"
    assert found["s/002"] == "action take 'apple' · at 1"
    assert found["s/003"].startswith("action <script>canary()</script>") and "\ud800" not in found["s/003"]
    assert found["s/004"] == "step 0 · log "
    assert found["a1/0"] == "", "a private task's log is not told"


def test_a_tasks_own_entries_stand_first(path: Path):
    with closing(RunView(path)) as run:
        run.views = {"garden": ("at", "ended")}
        assert [endings(run)[f"s/00{n}"] for n in (1, 2)] == ["ended true", "at 1"]


def test_a_log_that_cannot_be_read_leaves_the_place_empty(path: Path):
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE turn SET body = x'28B52FFD00' WHERE episode = 2")
        db.execute("UPDATE episode SET last = x'28B52FFD00' WHERE id = 1")
    with closing(RunView(path)) as run:
        assert [endings(run)[f"s/00{n}"] for n in (1, 2)] == ["", ""]


def test_of_store_version_1_the_last_calls_log(root: Path, tmp_path: Path):
    shutil.copytree(root / "tests/core/wave1", tmp_path / "old")
    with closing(RunView(tmp_path / "old" / FILE)) as run:
        assert all(isinstance(row["end"], str) for row in run.page(Query())["rows"])


async def asked(library: Library, **given: str) -> list[str]:
    """Samples that a list shows once the index is whole."""
    async with asyncio.timeout(FOUND_S):
        while True:
            found = library.answers["episodes"]({"sort": "sample", **given})
            if found["index"]["done"] == found["index"]["of"]:
                return [row["sample"] for row in found["rows"]]
            await asyncio.sleep(0.01)


async def test_episodes_are_found_by_what_they_did_last(path: Path):
    with closing(Library(path)) as library:
        assert await asked(library, end="action stop") == ["s/001"]
        assert await asked(library, end="take 'apple'") == ["s/002"]
        assert await asked(library, end="open drawer") == [], "it was not the last"
        assert (await asked(library, end="canary()"))[0].startswith("s/003")
        assert await asked(library, end="action", words="look") == ["s/001", "s/002"]
        assert await asked(library, end="%") == []
        assert await asked(library, end="'; DROP TABLE ends; --\0") == []
