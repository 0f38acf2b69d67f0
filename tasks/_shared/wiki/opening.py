"""Opens the Wikipedia a run asked for, and names the options it is asked with."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.errors import MissingPart, UsageError
from harness.types import Context, Option
from tasks._shared.recorded import Answers, Mode
from tasks._shared.web import Manners, Web
from tasks._shared.wiki.corpus import Corpus, read_dump
from tasks._shared.wiki.mediawiki import ENDPOINT, MediaWiki
from tasks._shared.wiki.page import Wiki

CONTACT = "HARNESS_CONTACT"
"""Environment variable with an address for the user agent; Wikimedia turns away clients without one."""

NO_CONTACT = f"Wikipedia wants an address to write to: export {CONTACT}=you@example.org"


@dataclass(frozen=True, slots=True)
class Backends:
    """What one world asks for facts: a wiki, and the store behind everything that comes from the web."""

    wiki: Wiki
    answers: Answers
    web: Web | None


def options(*, mode: str, default: str, choices: tuple[str, ...]) -> tuple[Option, ...]:
    """The options every task with web tools has; `mode` is the name of the one that picks the backend."""
    return (
        Option(mode, str, default, default, "where answers come from", choices=choices),
        Option("snapshot", str, None, None, "file for cache, record and replay", optional=True),
        Option("snapshot_sha256", str, None, None, "refuse any other snapshot", optional=True),
        Option("corpus", str, None, None, "JSONL dump for the offline Wikipedia", optional=True),
        Option("wiki_endpoint", str, ENDPOINT, ENDPOINT, "address of the wiki's api.php"),
        Option(
            "auto_suggest",
            str,
            "upstream",
            "prefer_exact",
            "whether a spelling suggestion beats an existing page",
            choices=("upstream", "prefer_exact"),
        ),
        Option("web_rate", float, 5.0, 5.0, "requests a second to each web service"),
        Option("contact", str, None, None, f"address in the user agent, else ${CONTACT}", optional=True),
    )


@asynccontextmanager
async def open_backends(ctx: Context, mode: str, offline: Callable[[], Corpus]) -> AsyncIterator[Backends]:
    """Open the backend `mode` names; recordings are sealed when the block ends.

    Args:
        ctx: the run's context, with the options of `options`.
        mode: `offline`, `live`, `cache`, `record` or `replay`.
        offline: builds the task's own corpus when no `corpus` option names another.

    Raises:
        MissingPart: a snapshot or the contact address is missing.
        DataError: the snapshot is corrupt, unfinished or not the pinned one.
    """
    if mode == "offline":
        path = ctx.options["corpus"]
        corpus = Corpus(*read_dump(Path(str(path)))) if path else offline()
        try:
            yield Backends(corpus, Answers("live"), None)
        finally:
            corpus.close()
        return
    answers = Answers(_mode(mode), _snapshot(ctx))
    try:
        _check_pin(ctx, answers)
        if mode == "replay":
            yield Backends(_mediawiki(ctx, answers, None), answers, None)
            return
        if not (address := contact(ctx)):
            raise MissingPart(NO_CONTACT)
        manners = Manners(rate=float(ctx.options["web_rate"] or 0.0))
        async with Web(contact=address, manners=manners) as web:
            yield Backends(_mediawiki(ctx, answers, web), answers, web)
    finally:
        answers.close()


def label(wiki: Wiki) -> str:
    """Say in a few words what a score's facts come from."""
    facts = wiki.coverage()
    if wiki.name == "offline":
        return f"wiki offline ({facts['wiki_pages']} pages, not comparable with live)"
    if digest := facts.get("web_sha256"):
        return f"wiki replay ({facts['web_answers']} answers, sha256 {digest[:12]})"
    return f"wiki {wiki.name}"


def _mode(mode: str) -> Mode:
    known: Mapping[str, Mode] = {m: m for m in ("live", "cache", "record", "replay")}
    if mode not in known:
        raise UsageError(f"no backend is called {mode!r}; choose offline, {', '.join(known)}")
    return known[mode]


def _mediawiki(ctx: Context, answers: Answers, web: Web | None) -> MediaWiki:
    suggest = "prefer_exact" if ctx.options["auto_suggest"] == "prefer_exact" else "upstream"
    return MediaWiki(answers, web, endpoint=str(ctx.options["wiki_endpoint"]), suggest=suggest)


def _snapshot(ctx: Context) -> Path | None:
    path = ctx.options["snapshot"]
    return Path(str(path)).expanduser() if path else None


def _check_pin(ctx: Context, answers: Answers) -> None:
    pinned = ctx.options["snapshot_sha256"]
    found = answers.describe().get("web_sha256", "")
    if pinned and found and not found.startswith(str(pinned)):
        raise MissingPart(f"the snapshot has sha256 {found}, snapshot_sha256 asks for {pinned}")


def contact(ctx: Context) -> str:
    """The address in the user agent, empty when nobody gave one."""
    return str(ctx.options["contact"] or os.environ.get(CONTACT, ""))
