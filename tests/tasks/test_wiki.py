"""Wikipedia backends: the protocol over real HTTP, retries, cache, snapshots, and the offline corpus."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import DataError, InfraError, MissingPart
from tasks._shared.recorded import Answers, request_key
from tasks._shared.web import Answer, Manners, Request, TokenBucket, Web
from tasks._shared.wiki.corpus import Corpus, read_dump
from tasks._shared.wiki.docstore import NO_PAGE, RETRY, Docstore, Reading
from tasks._shared.wiki.mediawiki import MediaWiki
from tasks._shared.wiki.page import Miss, NotRecorded, Page, Refused

_spec = importlib.util.spec_from_file_location("fakes_web", Path(__file__).with_name("fakes_web.py"))
assert _spec and _spec.loader
fakes = sys.modules.setdefault("fakes_web", importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(fakes)

QUICK = Manners(rate=10_000, burst=1_000, parallel=8, timeout_s=10, tries=3, first_wait_s=0.001)
SECTIONS = "\n\n\n== Past ==\nThe village burnt.\n\n\n== Empty ==\n\n\n== Now ==\nNo sea."
LEAD = "Tern is a village.\nIt lies by a lake." + SECTIONS


def pages() -> fakes.FakeWiki:
    return fakes.FakeWiki(
        pages={
            "Tern": LEAD,
            "Heron": "\n\nA page that starts with blank lines.",
            "Heron (bird)": "A heron is a bird.",
            'O\'Hare "Blue" Café': "An inn by the lake.",
            "A & B": "A firm.",
        },
        redirects={"Terne": "Tern", "Far Tern": "Terne"},
        ambiguous={"Wader"},
        listed=("Ghost page",),
        suggestions={"Heron": "Heron (bird)"},
    )


@asynccontextmanager
async def live(
    wiki: fakes.FakeWiki, answers: Answers | None = None, **options: str
) -> AsyncIterator[MediaWiki]:
    async with fakes.serve_wiki(wiki), Web(contact="test@example.org", manners=QUICK) as session:
        kept = answers or Answers("live")
        yield MediaWiki(kept, session, endpoint=wiki.url, **options)  # type: ignore[arg-type]


# -- the protocol


async def test_hit_takes_three_queries_in_upstreams_shape():
    async with live(wiki := pages()) as client:
        found = await client.resolve("Tern")
    assert isinstance(found, Page)
    assert (found.title, found.text, found.revid > 0) == ("Tern", LEAD, True)
    shapes = [{k: v for k, v in seen.items() if k not in ("format", "action")} for seen in wiki.seen]
    assert shapes == [
        {
            "list": "search",
            "srprop": "",
            "srlimit": "1",
            "srinfo": "suggestion",
            "srsearch": "Tern",
            "maxlag": "5",
        },
        {
            "prop": "info|pageprops",
            "inprop": "url",
            "ppprop": "disambiguation",
            "redirects": "",
            "titles": "Tern",
            "maxlag": "5",
        },
        {"prop": "extracts|revisions", "explaintext": "", "rvprop": "ids", "titles": "Tern", "maxlag": "5"},
    ]
    assert list(wiki.agents) == ["agenttuning-harness/0.1 (test@example.org)"]


@pytest.mark.parametrize("term", ["Terne", "Far Tern"])
async def test_redirects_are_followed(term: str):
    async with live(pages()) as client:
        found = await client.resolve(term)
    assert isinstance(found, Page)
    assert (found.title, found.via) == ("Tern", "redirect")


async def test_a_circle_of_redirects_ends():
    wiki = pages()
    wiki.redirects = {"Left": "Right", "Right": "Left"}
    async with live(wiki) as client:
        assert isinstance(await client.resolve("Left"), Refused)


@pytest.mark.parametrize(
    ("term", "similar"),
    [("Wader", ("Wader",)), ("Ghost page", ("Ghost page",)), ("xyzzy", ())],
    ids=["disambiguation", "missing after a search hit", "unknown"],
)
async def test_no_page_lists_search_hits(term: str, similar: tuple[str, ...]):
    async with live(pages()) as client:
        assert await client.resolve(term) == Miss(similar)


@pytest.mark.parametrize(("rule", "title"), [("upstream", "Heron (bird)"), ("prefer_exact", "Heron")])
async def test_a_suggestion_hides_the_exact_page_only_upstream(rule: str, title: str):
    async with live(pages(), suggest=rule) as client:
        found = await client.resolve("Heron")
    assert isinstance(found, Page)
    assert found.title == title


async def test_an_invalid_title_is_refused_not_missing():
    wiki = pages()
    wiki.listed = ("a <b>",)
    async with live(wiki) as client:
        assert isinstance(await client.resolve("a <b>"), Refused)


@pytest.mark.parametrize("term", ["", "  ", "x" * 301, "\ud800"])
async def test_terms_no_wiki_takes_never_reach_the_network(term: str):
    async with live(wiki := pages()) as client:
        assert isinstance(await client.resolve(term), Refused)
    assert wiki.seen == []


# -- trouble


@pytest.mark.parametrize(
    "trouble",
    [
        fakes.too_many,
        fakes.maxlag,
        lambda: web.Response(status=503, text="down"),
        lambda: web.Response(text="<html>not json</html>"),
    ],
    ids=["429", "maxlag", "503", "html"],
)
async def test_passing_trouble_is_retried(trouble: object):
    wiki = pages()
    wiki.trouble = [trouble, trouble]
    async with live(wiki) as client:
        assert isinstance(await client.resolve("Tern"), Page)
    assert len(wiki.seen) == 5


@pytest.mark.parametrize("trouble", [fakes.too_many, fakes.maxlag])
async def test_lasting_trouble_is_an_infra_error_and_never_text(trouble: object):
    wiki = pages()
    wiki.trouble = [trouble] * 3
    async with live(wiki) as client:
        with pytest.raises(InfraError):
            await client.resolve("Tern")


async def test_an_unreachable_wiki_is_an_infra_error():
    async with Web(contact="x", manners=QUICK) as session:
        client = MediaWiki(Answers("live"), session, endpoint="http://127.0.0.1:9/w/api.php")
        with pytest.raises(InfraError, match="wiki at"):
            await client.resolve("Tern")


async def test_api_error_is_refused_and_not_retried():
    wiki = pages()
    wiki.trouble = [web.json_response(fakes.error("badvalue", "no such thing"))]
    async with live(wiki) as client:
        assert isinstance(await client.resolve("Tern"), Refused)
    assert len(wiki.seen) == 1


async def test_token_bucket_paces_callers_on_the_loops_own_clock():
    bucket = TokenBucket(rate=1000.0, burst=2)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(12):
        await bucket.take()
    # 12 turns, two of them free, at a thousand a second; the upper side depends on the machine.
    assert loop.time() - began >= 0.009


# -- cache and snapshot


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
    first, second = (asyncio.create_task(answers.get(request, ask)) for _ in range(2))
    await asyncio.wait_for(begun.wait(), 5)
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
    task = asyncio.create_task(answers.get(request, hang))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.wait_for(gone.wait(), 5)
    assert await answers.get(request, ask) == Answer(200, b"[]")


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
    async with live(wiki) as client:
        hashes: list[str] = []
        for term in ("Tern", "Tern", "Heron"):
            answers = Answers("record", path)
            client._answers = answers
            await client.resolve(term)
            answers.close()
            hashes.append(Answers("replay", path).describe()["web_sha256"])
    assert hashes[0] == hashes[1] != hashes[2]
    assert len(wiki.seen) == 6


async def test_an_unfinished_recording_is_not_replayed(tmp_path: Path):
    path = tmp_path / "wiki.sqlite"
    await recorded(path, ("Tern",))
    Answers("record", path)._file.close()  # type: ignore[union-attr]  # a crash: never sealed
    with pytest.raises(DataError, match="not finished"):
        Answers("replay", path)


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
    assert request_key(plain) == request_key(secret)


# -- the docstore


async def test_lookup_walks_sections_and_keeps_its_place_across_pages_as_upstream():
    corpus = Corpus([("Tern", LEAD), ("Lake", "A lake.\n\nThe lake is deep.")])
    docs = Docstore(corpus)
    assert docs.lookup("lake") == NO_PAGE
    assert await docs.search("Tern") == "Tern is a village.\nIt lies by a lake."
    assert docs.lookup("LAKE") == "(Result 1/1) Tern is a village.\nIt lies by a lake."
    await docs.search("Lake")
    assert docs.lookup("lake") == "(Result 2/2) The lake is deep."
    assert docs.lookup("lake") == "No More Results"
    assert docs.lookup("sea") == "No Results"


async def test_lookup_starts_anew_and_reads_sentences_when_told():
    corpus = Corpus([("Tern", LEAD), ("Lake", "A lake. It is deep.\n\nThe lake froze.")])
    docs = Docstore(corpus, Reading(search="paragraph", lookup="sentence", keep_index=False))
    assert await docs.search("Tern") == "Tern is a village."
    assert docs.lookup("lake") == "(Result 1/1) It lies by a lake."
    await docs.search("Lake")
    assert docs.lookup("lake") == "(Result 1/2) A lake."
    assert docs.lookup("lake") == "(Result 2/2) The lake froze."


async def test_a_miss_closes_the_page_and_a_refusal_leaves_it_open():
    docs = Docstore(Corpus([("Tern", "A village."), ('O\'Hare "Blue" Tern', "An inn.")]))
    await docs.search("Tern")
    assert await docs.search("x" * 301) == RETRY
    assert docs.lookup("village") == "(Result 1/1) A village."
    shown = await docs.search("Terns of blue tern")
    assert shown == """Could not find [Terns of blue tern]. Similar: ['O\\'Hare "Blue" Tern', 'Tern']"""
    assert docs.lookup("village") == NO_PAGE


async def test_a_page_that_starts_blank_has_an_empty_summary():
    docs = Docstore(Corpus([("Heron", "\n\nText after blank lines.")]))
    assert await docs.search("Heron") == ""


# -- the corpus


def test_corpus_resolution_order(tmp_path: Path):
    dump = tmp_path / "dump.jsonl"
    lines = [
        {"title": "A &amp; B", "text": "firm"},
        {"title": "tern", "text": "bird"},
        {"title": "Tern", "text": "village"},
        {"title": "Old Tern", "redirect": "Older Tern"},
        {"title": "Older Tern", "redirect": "Tern"},
        {"title": "Round", "redirect": "Round again"},
        {"title": "Round again", "redirect": "Round"},
    ]
    dump.write_text("".join(json.dumps(line) + "\n" for line in lines))
    corpus = Corpus(*read_dump(dump))
    opened = {term: corpus.find(term) for term in ("A & B", "tern", "Tern", "Old Tern", "TERN", "round")}
    assert [found.text for found in opened.values() if isinstance(found, Page)] == [
        "firm",
        "bird",
        "village",
        "village",
        "bird",
    ]
    assert opened["round"] == Miss(())


def test_lucky_opens_the_best_match():
    corpus = Corpus([("Tern", "A village."), ("Heron", "A bird.")], lucky=True)
    found = corpus.find("village of Tern")
    assert isinstance(found, Page)
    assert (found.title, found.via) == ("Tern", "search")


def test_a_broken_dump_names_the_line(tmp_path: Path):
    dump = tmp_path / "dump.jsonl"
    dump.write_text('{"title": "x", "text": "y"}\n{"title": "x"}\n')
    with pytest.raises(DataError, match=r"dump\.jsonl:2"):
        read_dump(dump)


@given(st.text(max_size=300))
def test_no_term_breaks_the_corpus(term: str):
    found = CORPUS.find(term)
    assert isinstance(found, (Page, Miss))


CORPUS = Corpus([("Tern", LEAD), ('"quoted" NEAR(a b)', "odd"), ("title:x*", "odd")])


def test_a_gold_title_is_found_by_its_words_on_the_real_pages(mirror: Path):
    from tasks.hotpotqa.rows import paragraphs, samples

    folder = mirror / "hotpotqa"
    corpus = Corpus(paragraphs(folder))
    titles = [title for item in samples(folder) for title in item.data["titles"]]
    found = [corpus.search(title) for title in titles]
    assert len(corpus) == 2958
    assert all(title in hits for title, hits in zip(titles, found, strict=True))
    assert sum(hits[0] == title for title, hits in zip(titles, found, strict=True)) / len(titles) > 0.94
