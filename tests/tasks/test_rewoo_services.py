"""Google and WolframAlpha in their protocols' true shapes, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import fakes_web as fakes
import pytest
from aiohttp import web
from web_play import QUICK

from harness.errors import InfraError
from tasks._shared.recorded import Answers
from tasks._shared.web import Web
from tasks.rewoo.tools import google, wolfram
from tasks.rewoo.tools.base import ToolError


@asynccontextmanager
async def served(
    search: fakes.FakeSearch, answers: Answers, key: str = ""
) -> AsyncIterator[tuple[google.Google, wolfram.Wolfram]]:
    async with fakes.serve_search(search) as ends, clients(ends, answers, key) as tools:
        yield tools


@asynccontextmanager
async def clients(
    ends: tuple[str, str], answers: Answers, key: str = ""
) -> AsyncIterator[tuple[google.Google, wolfram.Wolfram]]:
    async with Web(contact="t", limits=QUICK) as session:
        yield (
            google.Google(answers, session, endpoint=ends[0], key=key or "serper-key"),
            wolfram.Wolfram(answers, session, endpoint=ends[1], key=key or "wolfram-key"),
        )


RESULT = {
    "searchParameters": {"q": "tern"},
    "knowledgeGraph": {
        "title": "Tern",
        "type": "Village",
        "description": "It lies by a lake.",
        "attributes": {"Area": "3 km"},
    },
    "organic": [
        {"title": "a", "link": "x", "snippet": "First.", "attributes": {"Founded": "1610"}},
        {"title": "b", "link": "y"},
        {"title": "c", "link": "z", "snippet": "Second."},
    ],
}


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"answerBox": {"answer": "42", "snippet": "no"}, "organic": []}, "42"),
        ({"answerBox": {"snippet": "two\nlines"}}, "two lines"),
        ({"answerBox": {"snippetHighlighted": ["a", "b"]}}, "a b"),
        (RESULT, "Tern: Village. It lies by a lake. Tern Area: 3 km. First. Founded: 1610. Second."),
        ({"organic": []}, google.NO_RESULT),
    ],
)
async def test_google_in_serpers_shape(result: dict[str, object], text: str):
    search = fakes.FakeSearch(google={"tern": result})
    async with served(search, Answers("live")) as (tool, _):
        assert (await tool.use("k", "tern", None)).text == text
    assert search.bodies == [{"q": "tern", "gl": "us", "hl": "en", "num": 10}]


async def test_google_without_organic_hits_fails_as_upstream():
    async with served(fakes.FakeSearch(google={"tern": {"searchParameters": {}}}), Answers("live")) as (
        tool,
        _,
    ):
        with pytest.raises(ToolError, match="organic"):
            await tool.use("k", "tern", None)


async def test_wolfram_takes_the_primary_pod():
    search = fakes.FakeSearch(wolfram={"2x=4": "x = 2", "void": "", "Answer:": "Answer: 7 < 8"})
    async with served(search, Answers("live")) as (_, tool):
        assert (await tool.use("k", "2x=4", None)).text == "x = 2"
        assert (await tool.use("k", "void", None)).text == wolfram.NO_RESULT
        assert (await tool.use("k", "Answer:", None)).text == "7 < 8"
        assert (await tool.use("k", "who am I", None)).text == wolfram.NOT_ABLE


async def test_a_wrong_key_is_the_machinerys_fault():
    async with served(fakes.FakeSearch(), Answers("live"), key="wrong") as tools:
        for tool in tools:
            with pytest.raises(InfraError, match="key"):
                await tool.use("k", "x", None)


@pytest.mark.parametrize(
    "trouble",
    [
        fakes.too_many,
        lambda: web.Response(status=502),
        lambda: web.Response(text="<!DOCTYPE x [<!ENTITY a 'b'>]><x/>"),
        lambda: web.Response(text="{"),
    ],
)
async def test_trouble_is_retried_and_then_an_infra_error(trouble: object):
    search = fakes.FakeSearch(google={"x": {"answerBox": {"answer": "yes"}}}, wolfram={"x": "yes"})
    async with served(search, Answers("live")) as tools:
        for tool in tools:
            search.trouble = [trouble] * 2
            assert (await tool.use("k", "x", None)).text == "yes"
            search.trouble = [trouble] * 3
            with pytest.raises(InfraError):
                await tool.use("k", "x", None)


@pytest.mark.parametrize("text", ["", " ", "x" * 4001, "\ud800"])
async def test_inputs_no_service_takes_fail_the_tool_unasked(text: str):
    search = fakes.FakeSearch()
    async with served(search, Answers("live")) as tools:
        for tool in tools:
            with pytest.raises(ToolError):
                await tool.use("k", text, None)
    assert search.seen == []


async def test_services_are_recorded_once_and_their_keys_are_not_in_the_file(tmp_path: Path):
    path = tmp_path / "x.sqlite"
    search = fakes.FakeSearch(google={"tern": RESULT}, wolfram={"2x=4": "x = 2"})
    answers = Answers("record", path)
    async with fakes.serve_search(search) as ends, clients(ends, answers) as (first, second):
        for _ in range(3):
            spoken = (await first.use("k", "tern", None)).text, (await second.use("k", "2x=4", None)).text
    answers.close()
    assert len(search.seen) == 2
    content = path.read_bytes()
    assert b"serper-key" not in content
    assert b"wolfram-key" not in content
    answers = Answers("replay", path)
    again = (
        google.Google(answers, None, endpoint=ends[0], key=""),
        wolfram.Wolfram(answers, None, endpoint=ends[1], key=""),
    )
    assert (
        (await again[0].use("k", "tern", None)).text,
        (await again[1].use("k", "2x=4", None)).text,
    ) == spoken
    assert [(await tool.use("k", "new", None)).missed for tool in again] == [True, True]
    answers.close()
