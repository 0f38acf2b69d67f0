"""The server answers reads with the token, from this machine's names, and nothing else."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import tempfile
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from aiohttp import ClientSession
from hypothesis import given, settings
from hypothesis import strategies as st
from viewed_runs import attempt, viewed_run

from harness.errors import UsageError
from harness.storage.store import Store
from harness.view.changes import compared
from harness.view.library import Library
from harness.view.server import Place, serving


@asynccontextmanager
async def served(*paths: Path, place: Place | None = None):
    async with serving(list(paths), place or Place()) as address, ClientSession() as client:

        async def get(what: str = "", method: str = "GET", **headers: str):
            async with client.request(method, address + what, headers=headers) as answer:
                return answer.status, await answer.read(), answer.headers

        yield address, get


async def test_pages_and_answers_have_headers_that_keep_scripts_out(tmp_path):
    async with served(viewed_run(tmp_path)) as (_, get):
        for what in ("", "index.html", "app.js", "style.css", "api/runs", "api/nothing"):
            status, _, headers = await get(what)
            assert status == (404 if what == "api/nothing" else 200)
            assert "script-src 'self';" in headers["Content-Security-Policy"]
            assert "unsafe" not in headers["Content-Security-Policy"]
            assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == (
                "nosniff",
                "no-referrer",
            )


async def test_without_the_token_nothing_is_answered(tmp_path):
    async with served(viewed_run(tmp_path)) as (address, _), ClientSession() as client:
        origin, _, token = address.rstrip("/").rpartition("/")
        assert len(token) >= 20
        for path in ("/", "/api/runs", f"/{token[:-1]}/api/runs", f"/{token}x/", f"/x{token}/"):
            async with client.get(origin + path) as answer:
                assert answer.status == 403
                assert token not in await answer.text()


HOSTS = {
    "127.0.0.1": 200,
    "localhost:80": 200,
    "[::1]:80": 200,
    "evil.example": 421,
    "10.0.0.7:80": 421,
    "127.0.0.1.evil.example:80": 421,
    "localhost.evil.example": 421,
}


@pytest.mark.parametrize(("host", "status"), HOSTS.items())
async def test_a_name_that_is_not_this_machines_is_refused(tmp_path, host, status):
    async with served(viewed_run(tmp_path, 1)) as (_, get):
        assert (await get("api/runs", Host=host))[0] == status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_only_reads_are_answered(tmp_path, method):
    async with served(viewed_run(tmp_path, 1)) as (_, get):
        assert (await get("api/runs", method))[0] == 405


async def test_reading_changes_nothing_in_the_runs_folder(tmp_path):
    path = viewed_run(tmp_path / "run")
    before = path.read_bytes()
    async with served(path) as (_, get):
        for what in (
            "runs", "pulse", "groups?task=garden", "episodes", "episodes?words=think", "episode?id=2",
            "part?id=2&place=0", "dropped?id=2&n=1", "replay?id=2", "curl?id=2&n=0",
            "find?task=garden&sample=s/001",
        ):  # fmt: skip
            assert (await get(f"api/{what}"))[0] == 200, what
    assert path.read_bytes() == before
    left = {found.name for found in path.parent.iterdir() if found.stat().st_size}
    assert left <= {path.name, f"{path.name}-shm"}  # SQLite's readers share an index of an empty log


@pytest.mark.parametrize(
    "what",
    [
        "../server.py",
        "..%2fserver.py",
        "%2e%2e/server.py",
        "pages/../../server.py",
        "/etc/passwd",
        "%00",
        "app.js/",
    ],
)
async def test_files_beside_the_pages_are_out_of_reach(tmp_path, what):
    async with served(viewed_run(tmp_path, 1)) as (_, get):
        status, body, _ = await get(what)
        assert status in (403, 404)
        assert b"import" not in body


NONSENSE = {
    "episodes": "sort=x sort=change after=7 after=[{},1] low=x outcome=x group=x words=%22 run=2 limit=x",
    "episode": f"id= id=99 id={10**40}",
    "part": "id=2&place=-1",
    "curl": "id=2&n=9",
    "find": "task=garden&sample=x",
    "changes": "id=2&other=1&with=2",
}
QUESTIONS = [f"{name}?{given}" for name, some in NONSENSE.items() for given in some.split()]


@pytest.mark.parametrize("what", [*QUESTIONS, "episodes?after=" + "[" * 1500])
async def test_a_question_that_makes_no_sense_is_answered_in_one_line(tmp_path, what):
    async with served(viewed_run(tmp_path, 3)) as (_, get):
        status, body, _ = await get(f"api/{what}")
        assert status == 400
        assert body.startswith(b'{"error":') and b"Traceback" not in body


async def test_a_row_that_was_spoilt_does_not_end_the_server(tmp_path):
    path = viewed_run(tmp_path, 3)
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE episode SET metrics = '{' WHERE id = 2")
        db.execute("UPDATE turn SET body = X'0100' WHERE episode = 3")
        db.commit()
    async with served(path) as (_, get):
        assert [(await get(f"api/episode?id={id}"))[0] for id in (2, 3, 4)] == [500, 500, 200]
        assert b"cannot be read" in (await get("api/episode?id=2"))[1]
        assert (await get("api/episodes"))[0] == 200


async def test_a_port_in_use_and_a_host_that_is_not_here(tmp_path):
    path = viewed_run(tmp_path, 1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for place in (Place(port=port), Place(host="192.0.2.7")):
            with pytest.raises(UsageError, match="give another --port or --host"):
                async with served(path, place=place):
                    pass


def index_folders() -> set[str]:
    return {name for name in os.listdir(tempfile.gettempdir()) if name.startswith("harness-view-")}  # noqa: PTH208


async def answered(library: Library, words: str, where: str = "") -> list[str]:
    """The samples found, once everything is indexed."""
    async with asyncio.timeout(30):
        while True:
            found = library.answers["episodes"]({"words": words, "where": where, "sort": "sample"})
            if found["index"]["done"] == found["index"]["of"]:
                return [row["sample"] for row in found["rows"]]
            await asyncio.sleep(0.02)


async def test_words_in_prompts_and_replies_are_found_also_of_new_episodes(tmp_path):
    path = viewed_run(tmp_path)
    library = Library(path)
    try:
        before = index_folders()
        assert await answered(library, "think 17") == ["s/017"]
        assert await answered(library, '"so it is 17"', "reply") == ["s/017"]
        assert await answered(library, '"so it is 17"', "prompt") == []
        assert len(await answered(library, "thi*", "reply")) == 30
        assert await answered(library, "SECRET") == []  # a private task's texts are not indexed
        for odd in ("'", "x' OR '1", "NEAR(", "a AND", "*x", "reply:x", "\x00y", "\ud800z"):
            assert await answered(library, odd) in ([], ["s/000"]), odd
        store = Store(path)
        store.add(attempt(77, 1.0, "a zebra"))
        store.close()
        assert await answered(library, "ZEBRA") == ["s/077"]
        made = index_folders() - before
    finally:
        library.close()
    assert made and not made & index_folders()


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="ab \n\u00e9.", max_size=60), st.text(alphabet="ab \n\u00e9.", max_size=60))
def test_the_parts_of_a_comparison_give_both_texts_back(first, second):
    parts = compared(first, second)["parts"]
    assert "".join(text for sign, text in parts if sign != "+") == first
    assert "".join(text for sign, text in parts if sign != "-") == second
    assert (first == second) == all(sign == "=" for sign, _ in parts)


def test_long_unlike_texts_are_compared_in_bounded_time():
    import time

    began = time.process_time()
    found = compared(" ".join(map(str, range(50_000))), " ".join(map(str, range(50_000, 0, -1))))
    assert found["cut"] and time.process_time() - began < 5


def test_words_that_differ_are_marked_and_no_halves_of_words():
    parts = compared("I go to drawer 12 now", "I go to drawer 13 now")["parts"]
    assert [part for part in parts if part[0] != "="] == [["-", "12"], ["+", "13"]]
