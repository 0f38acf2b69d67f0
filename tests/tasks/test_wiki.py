"""Wikipedia's live backend: the protocol over real HTTP, and what becomes of trouble."""

from __future__ import annotations

import asyncio

import fakes_web as fakes
import pytest
from aiohttp import web
from web_play import QUICK
from wiki_kit import LEAD, live, pages

from harness.errors import InfraError
from tasks._shared.recorded import Answers
from tasks._shared.token_bucket import TokenBucket
from tasks._shared.web import Web
from tasks._shared.wiki.mediawiki import MediaWiki
from tasks._shared.wiki.page import Miss, Page, Refused

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


async def test_a_term_that_is_no_title_is_not_tried_as_one():
    wiki = pages()
    wiki.suggestions["Tern|Heron"] = "Heron (bird)"
    async with live(wiki, suggest="prefer_exact") as client:
        found = await client.resolve("Tern|Heron")
    assert isinstance(found, Page)
    assert found.title == "Heron (bird)"
    assert all("|" not in seen.get("titles", "") for seen in wiki.seen)


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
    async with Web(contact="x", limits=QUICK) as session:
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
