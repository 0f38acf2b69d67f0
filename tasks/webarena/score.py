"""The evaluators of 2023 and of 2024 as pure functions, and the rates over many tasks."""

from __future__ import annotations

import html
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from harness.types import Row
from tasks.webarena.rows import ArenaRow, HtmlCheck

METRIC = "success_rate"

Edition = Literal["v2023", "v2024"]
"""Whose rules hold: the ones AgentTuning released, or today's of the benchmark's authors."""

# Where NLTK's word tokenizer cuts beside a character; only answers of one character are read by words.
_BEFORE = r"(?:^|(?<=[\s\"'`(\[{<>)\]};@#$%&?!*])|(?<=[,:](?=\D))|(?<=--))"
_AFTER = r"(?=$|[\s\"'`)\]}<>(\[{;@#$%&?!*]|[,:](?:\D|$)|\.(?:\s|$|[\"')\]}])|\.\.\.|--)"


def cleaned(answer: str, edition: Edition) -> str:
    """An answer without one pair of equal quotes around it, in lower case; 2024 strips blanks first."""
    if edition == "v2024":
        answer = answer.strip()
    if answer[:1] in ("'", '"') and answer.endswith(answer[0]):
        answer = answer[1:-1]
    return answer.lower()


def includes(reference: str, answer: str, edition: Edition, *, word: bool = False) -> bool:
    """Whether an answer contains a text; `word` asks for a whole word where the text is one character."""
    wanted, said = cleaned(reference, edition), cleaned(answer, edition)
    if word and edition == "v2024" and len(wanted) == 1 and not wanted.isspace():
        return re.search(_BEFORE + re.escape(wanted) + _AFTER, said) is not None
    return wanted in said


def answered(row: ArenaRow, answer: str, edition: Edition) -> bool:
    """Whether an answer passes the parts of `string_match` that need no judge."""
    if "string_match" not in row.types:
        return True
    if row.exact is not None and cleaned(answer, edition) != cleaned(row.exact, edition):
        return False
    word = len(row.include) == 1
    return all(includes(text, answer, edition, word=word) for text in row.include)


def gives_up(answer: str) -> bool:
    """Whether an answer says in so many words that a task cannot be done."""
    return cleaned(answer, "v2024") == "n/a"


def arrived(row: ArenaRow, url: str, edition: Edition) -> bool:
    """Whether the browser ended at an address that `url_match` requires."""
    if "url_match" not in row.types:
        return True
    if edition == "v2024":
        return _arrived_2024(row.pages, url)
    found, pages = _bare(url), [_bare(page) for page in row.pages]
    if row.rule == "GOLD in PRED":
        return any(page in found for page in pages)
    return found in pages


def _bare(url: str) -> str:
    return url[:-1] if url.endswith("/") else url


def _arrived_2024(pages: Sequence[str], url: str) -> bool:
    """Host and path of one alternative are contained in the URL's, and its query has the wanted values."""
    found, asked = _split(url)
    wanted: dict[str, set[str]] = defaultdict(set)
    reached = False
    for page in pages:
        base, query = _split(page)
        reached = reached or base in found
        for name, values in query.items():
            wanted[name].update(values)
    return reached and all(values & set(asked.get(name, ())) for name, values in wanted.items())


def _split(url: str) -> tuple[str, Mapping[str, list[str]]]:
    try:
        parts = urlsplit(url.rstrip("/"))
    except ValueError:
        return url, {}
    return parts.netloc + parts.path, parse_qs(parts.query)


def found(check: HtmlCheck, text: str, edition: Edition) -> bool:
    """Whether the text that a check selected is the wanted one."""
    if edition == "v2023":
        low = text.strip().lower()
        return all(any(one.strip().lower() in low for one in some) for some in check.required)
    text = html.unescape(text)
    if check.exact:
        return cleaned(text, edition) == cleaned(check.required[0][0], edition)
    return all(any(includes(one, text, edition) for one in some) for some in check.required)


def aggregate(rows: Sequence[Row], headline: float) -> Mapping[str, float]:
    """The rate and the strict rate, both also as counts, and the rate of each site.

    Args:
        rows: finished episodes; an errored one is among them with the value 0.
        headline: their mean.
    """
    counts = {
        "passed": sum(row.value for row in rows),
        "strict_passed": sum(row.metrics.get("strict", row.value) for row in rows),
        "of": float(len(rows)),
        "errored": sum(row.metrics.get("errored", 0.0) for row in rows),
    }
    means = {
        name: sum(row.metrics.get(name, 0.0) for row in rows) / len(rows)
        for name in ("strict", "steps", "unusable", "failed_actions")
    }
    sites: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        sites[row.labels.get("site", "")].append(row.value)
    groups = {f"site/{site}": sum(values) / len(values) for site, values in sorted(sites.items()) if site}
    return {**counts, **means, **groups, METRIC: headline}
