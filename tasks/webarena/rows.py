"""Reads a task file of WebArena, in the released and in the corrected form, into checked rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from harness.errors import DataError
from tasks.webarena.sites import SITES, STATEFUL

RELEASED = "AgentTuning/eval_heldout/webarena/config_files/test.raw.json"
CORRECTED = "webarena/config_files/test.raw.json"
OWN = "testsites/tasks.json"

TYPES = ("string_match", "url_match", "program_html")
OR, AND = " |OR| ", " |AND| "


@dataclass(frozen=True, slots=True)
class HtmlCheck:
    """One look at a page at the end of an episode.

    Attributes:
        url: `last` for where the browser is, an address, or `func:NAME(...)`.
        locator: JavaScript of the page, `func:NAME(...)`, or empty for the whole page.
        required: what must be found; each entry is one alternative or several.
        exact: the text must equal the first entry rather than contain all of them.
        prepare: JavaScript that is run first.
    """

    url: str
    locator: str
    required: tuple[tuple[str, ...], ...]
    exact: bool = False
    prepare: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ArenaRow:
    """One task.

    Attributes:
        state: whose stored logins the browser starts with.
        start: addresses of the tabs that are open at the start.
        types: the evaluators whose product is the score.
        exact: the answer itself; None when it is not asked for in this way.
        include: texts that the answer must contain.
        fuzzy: statements that a judge must find in the answer.
        unreachable: the right answer is that the task cannot be done, `why` is the reason.
        pages: where the browser must be at the end, in alternatives.
        rule: how a URL is compared.
        gold: actions that solve it, for the own sites; `{role:name}` names an element.
    """

    id: int
    sites: tuple[str, ...]
    state: tuple[str, ...]
    start: tuple[str, ...]
    intent: str
    template: int
    types: tuple[str, ...]
    exact: str | None = None
    include: tuple[str, ...] = ()
    fuzzy: tuple[str, ...] = ()
    unreachable: bool = False
    why: str = ""
    pages: tuple[str, ...] = ()
    rule: str = ""
    checks: tuple[HtmlCheck, ...] = ()
    gold: tuple[str, ...] = ()

    @property
    def touched(self) -> frozenset[str]:
        """Sites with a state that an attempt may use."""
        return frozenset(site for site in (*self.sites, *self.state) if site in STATEFUL)

    @property
    def judged(self) -> bool:
        """Whether a judge may have to read the answer."""
        return bool(self.fuzzy) or self.unreachable

    @property
    def writes(self) -> bool:
        """Whether its evaluator looks for a change; the others only ask for an answer or a page."""
        return bool(self.checks)


def read(path: Path, fill: Callable[[str], str] = str, evaluator: str = "eval") -> list[ArenaRow]:
    """Read a task file.

    Args:
        path: the file.
        fill: puts the sites' addresses in place of their placeholders in its text.
        evaluator: key of the evaluator to take where an entry has several.

    Raises:
        DataError: it cannot be read, or an entry is not of the documented form.
    """
    try:
        entries = json.loads(fill(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({error}): harness data verify webarena") from error
    if not isinstance(entries, list):
        raise DataError(f"{path} is no list of tasks: harness data verify webarena")
    return [_checked(path, place, entry, evaluator) for place, entry in enumerate(entries)]


def _checked(path: Path, place: int, entry: Any, evaluator: str) -> ArenaRow:
    try:
        return row({**entry, "eval": entry.get(evaluator, entry["eval"])})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: entry {place} is not a WebArena task ({error!r})") from error


def row(entry: Mapping[str, Any]) -> ArenaRow:
    """One entry of a task file as a row.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is not of the documented form.
    """
    judged, types = entry["eval"], tuple(entry["eval"]["eval_types"])
    answers = judged["reference_answers"] or {}
    _known("eval_types", types, TYPES)
    _known("reference_answers", answers, ("exact_match", "must_include", "fuzzy_match"))
    sites = tuple(entry["sites"])
    _known("sites", sites, SITES)
    fuzzy = answers.get("fuzzy_match", ())
    unreachable = isinstance(fuzzy, str)
    if unreachable and fuzzy != "N/A":
        raise ValueError(f"fuzzy_match is {fuzzy!r}")
    return ArenaRow(
        id=int(entry["task_id"]),
        sites=sites,
        state=_state(entry["storage_state"]),
        start=tuple(entry["start_url"].split(AND)),
        intent=entry["intent"],
        template=int(entry["intent_template_id"]),
        types=types,
        exact=answers.get("exact_match"),
        include=tuple(answers.get("must_include", ())),
        fuzzy=() if unreachable else tuple(fuzzy),
        unreachable=unreachable,
        why=judged.get("string_note", ""),
        pages=tuple(judged["reference_url"].split(OR)) if "url_match" in types else (),
        rule=judged.get("url_note", ""),
        checks=tuple(map(_check, judged["program_html"] if "program_html" in types else ())),
        gold=tuple(entry.get("gold", ())),
    )


def placed(row: ArenaRow, fill: Callable[[str], str]) -> ArenaRow:
    """A row with the sites' addresses in place of their placeholders."""
    checks = tuple(replace(check, url=fill(check.url), locator=fill(check.locator)) for check in row.checks)
    pages, start = tuple(map(fill, row.pages)), tuple(map(fill, row.start))
    return replace(row, pages=pages, start=start, checks=checks)


def _state(path: str | None) -> tuple[str, ...]:
    """`./.auth/gitlab.reddit_state.json` holds the logins of gitlab and reddit."""
    if path is None:
        return ()
    sites = tuple(Path(path).name.removesuffix("_state.json").split("."))
    _known("storage_state", sites, SITES)
    return sites


def _check(entry: Mapping[str, Any]) -> HtmlCheck:
    wanted, exact = entry["required_contents"], False
    if isinstance(wanted, str):
        required: Sequence[str] = [wanted]
    else:
        _known("required_contents", wanted, ("exact_match", "must_include"))
        exact = "exact_match" in wanted
        required = [wanted["exact_match"]] if exact else wanted["must_include"]
    alternatives = tuple((text,) if exact else tuple(text.split(OR)) for text in required)
    return HtmlCheck(
        entry["url"], entry["locator"], alternatives, exact, tuple(entry.get("prep_actions", ()))
    )


def _known(what: str, found: Any, known: Sequence[str]) -> None:
    if unknown := [name for name in found if name not in known]:
        raise ValueError(f"{what} has {unknown[0]!r}")


@cache
def reading() -> frozenset[int]:
    """Tasks that only ask for an answer or a page, in both editions; they may share a site."""
    lines = Path(__file__).with_name("reading.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(int(line) for line in lines if not line.startswith("#"))
