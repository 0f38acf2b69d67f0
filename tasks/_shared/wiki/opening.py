"""Opens the Wikipedia backend of a run, and defines its options."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError, MissingPart, UsageError
from harness.needs import Need, package
from harness.types import Context, TaskConfig, option
from tasks._shared.recorded import Answers, Mode
from tasks._shared.web import RequestLimits, Web
from tasks._shared.wiki.corpus import Corpus, read_dump
from tasks._shared.wiki.mediawiki import ENDPOINT, MediaWiki
from tasks._shared.wiki.page import Wiki

CONTACT = "HARNESS_CONTACT"
"""Environment variable with the contact address for the user agent; Wikimedia refuses clients without one."""

NO_CONTACT = f"Wikipedia requires a contact address: export {CONTACT}=you@example.org"


@dataclass(frozen=True, slots=True)
class Backends:
    """The sources of one world: a wiki, and the store of all web answers."""

    wiki: Wiki
    answers: Answers
    web: Web | None


@dataclass(frozen=True, slots=True)
class WebOptions:
    """The options of every task that uses the web."""

    snapshot: str | None = option(None, help="file for cache, record and replay")
    snapshot_sha256: str | None = option(None, help="refuse any other snapshot")
    corpus: str | None = option(None, help="JSONL dump for the offline Wikipedia")
    wiki_endpoint: str = option(ENDPOINT, help="address of the wiki's api.php")
    auto_suggest: str = option(
        "upstream",
        "prefer_exact",
        help="whether a spelling suggestion is taken before an existing page",
        choices=("upstream", "prefer_exact"),
    )
    web_rate: float = option(5.0, help="requests a second to each web service", ge=0.01, le=1000)
    contact: str | None = option(None, help=f"address in the user agent, else ${CONTACT}")


def web_needs(cfg: TaskConfig, mode: str) -> list[Need]:
    """What the backend `mode` needs: a contact address, a snapshot, a corpus."""
    options: WebOptions = cfg.options
    needs: list[Need] = []
    if mode == "offline":
        if options.corpus:
            fix = "give the path of a JSONL dump as the corpus option"
            needs.append(Need("corpus", lambda: _no_file(options.corpus), fix))
        return needs
    if mode in ("cache", "record", "replay"):
        fix = "set the task's snapshot option to its path" + (
            "; record one first" if mode == "replay" else ""
        )
        needs.append(Need("snapshot", lambda: _no_snapshot(options, mode), fix))
    if mode != "replay":
        needs.append(package("stamina", extra="wiki"))
        fix = f"export {CONTACT}=you@example.org"
        needs.append(
            Need("contact", lambda: None if contact(cfg) else "Wikipedia requires a contact address", fix)
        )
    return needs


def _no_file(path: str | None) -> str | None:
    return None if path and Path(path).is_file() else f"{path} is not a file"


def _no_snapshot(options: WebOptions, mode: str) -> str | None:
    if not options.snapshot:
        return f"mode {mode} needs a file"
    if mode != "replay":
        return None
    try:
        answers = Answers("replay", Path(options.snapshot).expanduser())
        try:
            _check_pin(options, answers)
        finally:
            answers.close()
    except HarnessError as error:
        return str(error)
    return None


@asynccontextmanager
async def open_backends(ctx: Context, mode: str, offline: Callable[[], Corpus]) -> AsyncIterator[Backends]:
    """Open the backend `mode`; a recording gets its hash when the block ends.

    Args:
        ctx: the run's context, with the options of `WebOptions`.
        mode: `offline`, `live`, `cache`, `record` or `replay`.
        offline: builds the task's own corpus, for a run without the option `corpus`.

    Raises:
        MissingPart: a snapshot or the contact address is missing.
        DataError: the snapshot is corrupt, unfinished or not the pinned one.
    """
    if mode == "offline":
        path = ctx.options.corpus
        corpus = Corpus(*read_dump(Path(path))) if path else offline()
        try:
            yield Backends(corpus, Answers("live"), None)
        finally:
            corpus.close()
        return
    answers = Answers(_mode(mode), _snapshot(ctx))
    try:
        _check_pin(ctx.options, answers)
        if mode == "replay":
            yield Backends(_mediawiki(ctx, answers, None), answers, None)
            return
        if not (address := contact(ctx)):
            raise MissingPart(NO_CONTACT)
        limits = RequestLimits(rate=ctx.options.web_rate)
        async with Web(contact=address, limits=limits) as web:
            yield Backends(_mediawiki(ctx, answers, web), answers, web)
    finally:
        answers.close()


def label(wiki: Wiki) -> str:
    """The source of a score's facts, in a few words."""
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
    suggest = "prefer_exact" if ctx.options.auto_suggest == "prefer_exact" else "upstream"
    return MediaWiki(answers, web, endpoint=ctx.options.wiki_endpoint, suggest=suggest)


def _snapshot(ctx: Context) -> Path | None:
    path = ctx.options.snapshot
    return Path(path).expanduser() if path else None


def _check_pin(options: WebOptions, answers: Answers) -> None:
    pinned = options.snapshot_sha256
    found = answers.describe().get("web_sha256", "")
    if pinned and found and not found.startswith(pinned):
        raise MissingPart(f"the snapshot has sha256 {found}, snapshot_sha256 asks for {pinned}")


def contact(cfg: TaskConfig) -> str:
    """The contact address in the user agent; empty when there is none."""
    return cfg.options.contact or os.environ.get(CONTACT, "")
