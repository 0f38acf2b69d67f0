"""Wikipedia's search and page texts, through the three queries of the upstream client."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from harness.errors import MissingRecord
from tasks._shared.recorded import Answers
from tasks._shared.web import Answer, Request, Web
from tasks._shared.wiki.page import Found, Miss, NotRecorded, Page, Refused, unaskable

ENDPOINT = "https://en.wikipedia.org/w/api.php"
REDIRECTS = 5
DAY = 86_400.0

Suggest = Literal["upstream", "prefer_exact"]

_BUSY = ("maxlag", "ratelimited", "readonly", "internal_api_error", "cirrussearch-too-busy-error")


_NO_TITLE = re.compile(r"[|#<>\[\]{}\x00-\x1f]")
"""Characters that no title has; `|` would separate several titles."""


class _NoPage(Exception):
    """The title is missing, or is that of a disambiguation page."""


class _UnusableAnswer(Exception):
    """An answer from which no page can be read; upstream raised, and the agent was asked to try again."""


class MediaWiki:
    """A wiki with `api.php`; each query of the upstream client is sent once instead of twice.

    Args:
        answers: where answers are stored; its mode decides whether requests are sent.
        web: the network; None when replaying.
        suggest: take a spelling suggestion before an existing page (upstream), or only without one.
    """

    def __init__(
        self,
        answers: Answers,
        web: Web | None,
        *,
        endpoint: str = ENDPOINT,
        suggest: Suggest = "upstream",
    ) -> None:
        self.name: str = answers.mode
        self._answers, self._web = answers, web
        self._endpoint, self._suggest = endpoint, suggest

    async def resolve(self, term: str) -> Found:
        if refused := unaskable(term):
            return refused
        try:
            try:
                return await self._page_for(term)
            except _NoPage:
                found = await self._query({"list": "search", "srprop": "", "srlimit": "10", "srsearch": term})
                return Miss(_titles(found))
        except MissingRecord as error:
            return NotRecorded(str(error))
        except _UnusableAnswer as error:
            return Refused(str(error))

    def coverage(self) -> Mapping[str, str]:
        asked = {"wiki_requests": str(self._web.requests)} if self._web else {}
        return {**self._answers.describe(), "wiki_endpoint": self._endpoint, **asked}

    # -- the three queries

    async def _page_for(self, term: str) -> Page:
        found = await self._query(
            {"list": "search", "srprop": "", "srlimit": "1", "srinfo": "suggestion", "srsearch": term}
        )
        first, suggestion = _titles(found)[:1], _suggestion(found)
        if suggestion is None:
            if not first:
                raise _NoPage
            return await self._page(first[0], "search")
        if self._suggest == "prefer_exact":
            exact = [] if _NO_TITLE.search(term) else [(term, "exact")]
            for title, via in (*exact, *((title, "search") for title in first)):
                try:
                    return await self._page(title, via)
                except _NoPage:
                    continue
        return await self._page(suggestion, "suggestion")

    async def _page(self, title: str, via: str) -> Page:
        """Follow redirects to a page, and read its text."""
        for _ in range(REDIRECTS):
            found = await self._query(
                {
                    "prop": "info|pageprops",
                    "inprop": "url",
                    "ppprop": "disambiguation",
                    "redirects": "",
                    "titles": title,
                }
            )
            page = _only_page(found)
            if "missing" in page:
                raise _NoPage
            if redirects := found.get("redirects"):
                title, via = _redirected(redirects), "redirect"
                continue
            if "pageprops" in page:
                raise _NoPage
            if "fullurl" not in page:
                raise _UnusableAnswer(f"no page can have the title {title!r}")
            return await self._text(str(page["title"]), str(page["fullurl"]), via)
        raise _UnusableAnswer(f"{title!r} redirects in a circle")

    async def _text(self, title: str, url: str, via: str) -> Page:
        found = await self._query(
            {"prop": "extracts|revisions", "explaintext": "", "rvprop": "ids", "titles": title}
        )
        page = _only_page(found)
        text = page.get("extract")
        if not isinstance(text, str):
            raise _UnusableAnswer(f"{title!r} has no plain text")
        revisions = page.get("revisions") or [{}]
        return Page(title, text, url, int(revisions[0].get("revid", 0)), via)

    async def _query(self, params: Mapping[str, str]) -> Mapping[str, Any]:
        request = Request(
            "wiki",
            self._endpoint,
            params={"format": "json", "action": "query", **params},
            polite={"maxlag": "5"},
        )
        answer = await self._answers.get(request.question, lambda: self._ask(request), lifetime=_lifetime)
        content = _json(answer)
        if content is None or "error" in content:
            reason = content["error"] if content else f"HTTP {answer.status}"
            raise _UnusableAnswer(f"the wiki refused: {reason}")
        query = content.get("query")
        if not isinstance(query, dict):
            raise _UnusableAnswer("the wiki's answer holds no query result")
        return query

    async def _ask(self, request: Request) -> Answer:
        if self._web is None:
            raise MissingRecord(request.service)
        return await self._web.fetch(request, transient=_busy)


def _busy(answer: Answer) -> str | None:
    """The reason why an answer with a good status is a temporary failure; None when it is not."""
    content = _json(answer)
    if content is None:
        return f"HTTP {answer.status} with a body that is no JSON object"
    error = content.get("error")
    code = str(error.get("code", "")) if isinstance(error, dict) else ""
    return f"the wiki is busy: {code}" if code.startswith(_BUSY) else None


def _lifetime(answer: Answer) -> float | None:
    """Pages stay in a cache without limit; a miss for a day, as the page may be written later."""
    content = _json(answer) or {}
    query = content.get("query")
    if not isinstance(query, dict):
        return DAY
    pages = query.get("pages")
    missing = isinstance(pages, dict) and any("missing" in page for page in pages.values())
    return DAY if missing or query.get("search") == [] else None


def _json(answer: Answer) -> dict[str, Any] | None:
    try:
        content = json.loads(answer.body)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _titles(query: Mapping[str, Any]) -> tuple[str, ...]:
    hits = query.get("search")
    return tuple(str(hit["title"]) for hit in hits) if isinstance(hits, list) else ()


def _suggestion(query: Mapping[str, Any]) -> str | None:
    info = query.get("searchinfo")
    return str(info["suggestion"]) if isinstance(info, dict) and info.get("suggestion") else None


def _only_page(query: Mapping[str, Any]) -> Mapping[str, Any]:
    pages = query.get("pages")
    if not isinstance(pages, dict) or not pages:
        raise _UnusableAnswer("the wiki's answer holds no page")
    return next(iter(pages.values()))


def _redirected(redirects: Any) -> str:
    try:
        return str(redirects[0]["to"])
    except (LookupError, TypeError) as error:
        raise _UnusableAnswer("a redirect without a target") from error
