"""A small wiki and a client for it, over real HTTP on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import fakes_web as fakes
from web_play import QUICK

from tasks._shared.recorded import Answers
from tasks._shared.web import Web
from tasks._shared.wiki.mediawiki import MediaWiki

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
    async with fakes.serve_wiki(wiki), Web(contact="test@example.org", limits=QUICK) as session:
        kept = answers or Answers("live")
        yield MediaWiki(kept, session, endpoint=wiki.url, **options)  # type: ignore[arg-type]
