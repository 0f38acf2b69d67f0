"""Kept web answers: asked once, cached until they expire, recorded once and replayed for ever."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from pathlib import Path

import fakes_web as fakes
import pytest
from web_play import QUICK
from wiki_kit import live, pages

from harness.errors import DataError, InfraError, MissingPart, MissingRecord
from tasks._shared.recorded import Answers, question_key
from tasks._shared.web import Answer, Request, Web
from tasks._shared.wiki.mediawiki import MediaWiki
from tasks._shared.wiki.page import Miss, NotRecorded, Page


async def test_identical_concurrent_requests_reach_the_network_once(tmp_path: Path):
    answers = Answers("cache", tmp_path / "cache.sqlite")
    async with live(wiki := pages(), answers) as client:
        found = await asyncio.gather(*(client.resolve("Tern") for _ in range(40)))
    assert {page.title for page in found if isinstance(page, Page)} == {"Tern"}
    assert len(wiki.seen) == 3
    answers.close()


async def test_live_mode_is_single_flight_too():
    async with live(wiki := pages()) as client:
        await asyncio.gather(*(client.resolve("Tern") for _ in range(40)))
    assert len(wiki.seen) == 3


async def test_cancelling_one_waiter_leaves_the_others_their_answer():
    answers, gate, begun = Answers("live"), asyncio.Event(), asyncio.Event()
    asked = 0

    async def ask() -> Answer:
        nonlocal asked
        asked += 1
        begun.set()
        await gate.wait()
        return Answer(200, b"{}")

    request = Request("wiki", "http://x")
    first, second = (asyncio.create_task(answers.get(request.question, ask)) for _ in range(2))
    await asyncio.wait_for(begun.wait(), 60)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    gate.set()
    assert await second == Answer(200, b"{}")
    assert asked == 1


async def test_a_flight_nobody_waits_for_is_cancelled_and_can_start_again():
    answers, gone = Answers("live"), asyncio.Event()

    async def hang() -> Answer:
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()
        raise AssertionError

    async def ask() -> Answer:
        return Answer(200, b"[]")

    request = Request("wiki", "http://x")
    task = asyncio.create_task(answers.get(request.question, hang))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.wait_for(gone.wait(), 60)
    assert await answers.get(request.question, ask) == Answer(200, b"[]")


async def test_cache_serves_a_second_run_and_forgets_a_no(tmp_path: Path):
    path = tmp_path / "cache.sqlite"
    answers = Answers("cache", path)
    wiki = pages()
    async with live(wiki, answers) as client:
        await client.resolve("Tern")
        await client.resolve("xyzzy")
        again = len(wiki.seen)
        await client.resolve("Tern")
        await client.resolve("xyzzy")
        assert len(wiki.seen) == again
        with sqlite3.connect(path) as file:
            file.execute("UPDATE answers SET expires = 1 WHERE expires IS NOT NULL")
        await client.resolve("Tern")
        assert len(wiki.seen) == again
        await client.resolve("xyzzy")
        assert len(wiki.seen) == again + 2
    answers.close()


async def test_a_failure_is_not_cached(tmp_path: Path):
    answers = Answers("cache", tmp_path / "cache.sqlite")
    wiki = pages()
    wiki.trouble = [fakes.too_many] * 3
    async with live(wiki, answers) as client:
        with pytest.raises(InfraError):
            await client.resolve("Tern")
        assert isinstance(await client.resolve("Tern"), Page)
    answers.close()


async def recorded(path: Path, terms: tuple[str, ...]) -> str:
    """Record the terms and return the endpoint they were recorded from."""
    answers = Answers("record", path)
    async with live(wiki := pages(), answers) as client:
        for term in terms:
            await client.resolve(term)
        endpoint = wiki.url
    answers.close()
    return endpoint


async def test_record_once_replay_without_a_network(tmp_path: Path):
    path = tmp_path / "wiki.sqlite"
    terms = ("Tern", "Terne", "Wader", "xyzzy", 'O\'Hare "Blue" Café', "A & B")
    endpoint = await recorded(path, terms)
    assert not any(Path(f"{path}{rest}").exists() for rest in ("-wal", "-shm", "-journal"))  # noqa: ASYNC240
    answers = Answers("replay", path)
    client = MediaWiki(answers, None, endpoint=endpoint)
    assert isinstance(await client.resolve("Tern"), Page)
    assert await client.resolve("Wader") == Miss(("Wader",))
    missed = await client.resolve("never asked")
    assert isinstance(missed, NotRecorded)
    assert "never asked" in missed.reason
    assert answers.misses == 1
    assert len(client.coverage()["web_sha256"]) == 64
    answers.close()


async def test_recording_goes_on_where_it_stopped_and_its_hash_names_its_content(tmp_path: Path):
    path = tmp_path / "wiki.sqlite"
    wiki = pages()
    hashes: list[str] = []
    async with fakes.serve_wiki(wiki):
        for term in ("Tern", "Tern", "Heron"):
            answers = Answers("record", path)
            async with Web(contact="test@example.org", limits=QUICK) as session:
                await MediaWiki(answers, session, endpoint=wiki.url).resolve(term)
            answers.close()
            hashes.append(Answers("replay", path).describe()["web_sha256"])
    assert hashes[0] == hashes[1] != hashes[2]
    assert len(wiki.seen) == 6


async def test_an_unfinished_recording_is_not_replayed(tmp_path: Path):
    path = tmp_path / "wiki.sqlite"
    await recorded(path, ("Tern",))
    going = Answers("record", path)
    left = tmp_path / "left"
    left.mkdir()
    for file in tmp_path.glob("wiki.sqlite*"):  # noqa: ASYNC240 - what a crash leaves: never sealed
        shutil.copy(file, left)
    going.close()
    with pytest.raises(DataError, match="unfinished"):
        Answers("replay", left / path.name)


async def test_a_changed_snapshot_is_refused(tmp_path: Path):
    path = tmp_path / "wiki.sqlite"
    await recorded(path, ("Tern",))
    with sqlite3.connect(path) as file:
        file.execute("UPDATE answers SET status = 201")
    with pytest.raises(DataError, match="sealed as"):
        Answers("replay", path)


@pytest.mark.parametrize("content", [None, b"", b"no database at all, only text that is long enough" * 9])
def test_what_is_no_snapshot_is_refused_with_its_path(tmp_path: Path, content: bytes | None):
    path = tmp_path / "none.sqlite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises((MissingPart, DataError), match=r"none\.sqlite"):
        Answers("replay", path)


def test_secrets_and_manners_are_in_no_key():
    plain = Request("wolfram", "http://x", params={"input": "1"})
    secret = Request(
        "wolfram",
        "http://x",
        {"input": "1"},
        headers={"X-API-KEY": "k"},
        polite={"maxlag": "5"},
        secrets={"appid": "k"},
    )
    assert question_key(plain.question) == question_key(secret.question)


async def test_any_json_is_a_question_and_nothing_else_is(tmp_path: Path):
    answers = Answers("record", tmp_path / "x.sqlite")

    async def ask() -> Answer:
        return Answer(200, b"7")

    question = {"service": "graph", "query": ["a", {"b": None, "c": 1.5}], "deep": [[True]]}
    assert (await answers.get(question, ask)).body == b"7"
    assert (await answers.get(dict(reversed(question.items())), ask)).body == b"7"
    assert (answers.asked, answers.hits) == (1, 1)
    for wrong in ({"x": object()}, {"x": float("nan")}, {"x": b"bytes"}):
        with pytest.raises(DataError, match="must be JSON"):
            await answers.get(wrong, ask)
    answers.close()
    replayed = Answers("replay", tmp_path / "x.sqlite")
    with pytest.raises(MissingRecord, match="no answer to"):
        await replayed.get({"service": "graph", "query": []}, ask)
    replayed.close()
