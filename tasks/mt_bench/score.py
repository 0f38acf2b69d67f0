"""Reads ratings out of verdicts and averages them: as FastChat does, and strictly."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, pstdev, stdev

from harness.authoring.answers import MAX_DIGITS, literal_int
from harness.types import JudgeAsk, Profile, Row, Score, Verdict
from tasks._shared.numerals import in_words

LOWEST, HIGHEST = 1.0, 10.0

# Repeats are possessive (`++`, `*+`): no shorter one of theirs could go on, and trying them all is quadratic.
_PLAIN = r"(\d++(?:\.\d*+)?+)"
_PAPER = (re.compile(r"\[\[" + _PLAIN + r"\]\]"), re.compile(r"\[" + _PLAIN + r"\]"))
_DIGITS = r"([0-9]++(?:\.[0-9]*+)?+)"
_NUMBER = r"\s*+" + _DIGITS + r"\s*+(?:/\s*+10\s*+)?+"
_OF_TEN = r"\s{0,3}(?:/|out of)\s{0,3}10(?![0-9.]*[0-9])"
_STRICT = re.compile(r"\[\[" + _NUMBER + r"\]\s*+\]")
_SPELT = re.compile(r"\[\[\s{0,3}([a-z]{3,5})\s{0,3}\]\]", re.IGNORECASE)
_SAID = r"(?i)\b(?:rating|score|grade)\b[^0-9\[\]\n]{0,20}"
_STRICT_BACKUP = re.compile(_SAID + r"\[" + _NUMBER + r"\]")
_SAID_PLAIN = re.compile(
    _SAID + r"(?<![-\u2013.,])" + _DIGITS + rf"(?:{_OF_TEN}|(?!\s{{0,3}}(?:[-\u2013/%]|to\b|or\b)))"
)
_SAID_SPELT = re.compile(r"(?i)\b(?:rating|score|grade)\b\W{0,9}(?:is\s)?([a-z]{3,5})\b")
_PLAIN_OF_TEN = re.compile(r"(?<![-\u2013./0-9])" + _DIGITS + _OF_TEN)
_SPELT_RATINGS = (_SPELT, _SAID_SPELT)


def paper_rating(text: str) -> float | None:
    """FastChat's reading: the first `[[x]]`, else the first `[x]`; one outside 1 to 10 is none.

    FastChat itself would average an 85 in, and the scale of the whole benchmark would be lost.
    """
    for pattern in _PAPER:
        if found := pattern.search(text):
            rating = _literal(found.group(1))
            return rating if rating is not None and LOWEST <= rating <= HIGHEST else None
    return None


def fixed_rating(text: str) -> float | None:
    """A careful reader's: the last `[[x]]`, else the last `[x]` or x after the word rating, else `x/10`.

    From 1 to 10; anything beyond is no rating.
    """
    text = unicodedata.normalize("NFKC", text)
    for pattern in (_STRICT, _SPELT, _STRICT_BACKUP, _SAID_PLAIN, _SAID_SPELT, _PLAIN_OF_TEN):
        if not (found := pattern.findall(text)):
            continue
        last = found[-1]
        spelt = in_words(last) if pattern in _SPELT_RATINGS else None
        if pattern in _SPELT_RATINGS and spelt is None:
            continue
        rating = float(spelt if spelt is not None else last) if len(last) < MAX_DIGITS else math.inf
        return rating if LOWEST <= rating <= HIGHEST else None
    return None


PARSERS: Mapping[Profile, Callable[[str], float | None]] = {"paper": paper_rating, "fixed": fixed_rating}


def _literal(digits: str) -> float | None:
    """What Python's literal reader makes of it; where it refuses (`08`, other alphabets) FastChat crashed."""
    if not digits.isascii() or len(digits) > MAX_DIGITS:
        return None
    if "." not in digits and literal_int(digits) is None:
        return None
    value = float(digits)
    return value if math.isfinite(value) else None


def resolve(
    items: Sequence[JudgeAsk], verdicts: Sequence[Verdict], profile: Profile, *, withhold: bool
) -> Score:
    """Value an episode.

    Args:
        items: what the judge was asked.
        verdicts: its answers, any number of judgings for each item.
        profile: whose parser counts.
        withhold: let `aggregate` give no headline when something could not be judged.
    """
    texts: dict[str, dict[int, str]] = defaultdict(dict)
    for verdict in verdicts:
        texts[verdict.key][verdict.k] = verdict.text
    metrics: dict[str, float] = {}
    for name, parse in PARSERS.items():
        found = [_turn(metrics, f"{name}/", item, texts[item.key], parse) for item in items]
        if ratings := [rating for rating in found if rating is not None]:
            metrics[name] = fmean(ratings)
    own = [_turn(metrics, "", item, texts[item.key], PARSERS[profile], repeats=True) for item in items]
    ratings = [rating for rating in own if rating is not None]
    metrics |= counts(judged=len(ratings), unparsed=len(own) - len(ratings), withhold=withhold)
    if not ratings:
        return Score(0.0, metrics, "no rating could be read")
    metrics[f"category/{items[0].info['category']}"] = fmean(ratings)
    shown = ", ".join("none" if rating is None else f"{rating:g}" for rating in own)
    return Score(fmean(ratings), metrics, answer=shown, target="1 to 10 for each turn")


def counts(*, judged: int, unparsed: int, withhold: bool) -> dict[str, float]:
    """How many of the two turns have a rating; `withheld` marks an incomplete episode that must not count."""
    missing = 2 - judged - unparsed
    found = {"judged": float(judged), "unparsed": float(unparsed), "missing": float(missing)}
    return found | ({"withheld": 1.0} if withhold and judged < 2 else {})


def _turn(
    metrics: dict[str, float],
    prefix: str,
    item: JudgeAsk,
    texts: Mapping[int, str],
    parse: Callable[[str], float | None],
    *,
    repeats: bool = False,
) -> float | None:
    """Average the readable ratings of one turn and note them."""
    turn = f"turn_{item.info['turn']}"
    read = {k: rating for k, text in sorted(texts.items()) if (rating := parse(text)) is not None}
    if not read:
        return None
    metrics[f"{prefix}{turn}"] = fmean(read.values())
    if repeats and len(texts) > 1:
        metrics |= {f"judging_{k}/{turn}": rating for k, rating in read.items()}
        metrics[f"spread/{turn}"] = pstdev(read.values())
    return metrics[f"{prefix}{turn}"]


def aggregate(rows: Sequence[Row]) -> dict[str, float]:
    """Average all ratings over both turns (the headline), by turn, by category, by parser and by judging.

    Turns without a rating are in no average; `judged`, `unparsed` and `missing` count turns.
    """
    pooled: dict[str, list[float]] = defaultdict(list)
    totals = {"judged": 0.0, "unparsed": 0.0, "missing": 0.0}
    for row in rows:
        for name in totals:
            totals[name] += row.metrics.get(name, 0.0)
        _pool(pooled, row)
    result = {name: fmean(values) for name, values in sorted(pooled.items())}
    judgings = [value for name, value in result.items() if re.fullmatch(r"judging_\d+", name)]
    if len(judgings) > 1:
        result["judgings_sd"] = stdev(judgings)
    if any("withheld" in row.metrics for row in rows):
        result.pop("mt_bench", None)
    return result | totals if rows else {}


def headline(rows: Sequence[Row]) -> float:
    """The average of all ratings; NaN when there is none, or when an episode withholds it."""
    return aggregate(rows).get("mt_bench", math.nan)


def _pool(pooled: dict[str, list[float]], row: Row) -> None:
    if row.metrics.get("judged") == 0:
        return
    own = [row.metrics[name] for name in ("turn_1", "turn_2") if name in row.metrics]
    # A row that brings nothing but its value still counts once.
    pooled["mt_bench"] += own or [row.value]
    for name, value in row.metrics.items():
        group, _, turn = name.rpartition("/")
        if name in ("turn_1", "turn_2"):
            pooled[name].append(value)
        elif turn in ("turn_1", "turn_2"):
            pooled[group].append(value)
        elif group == "category":
            pooled[name] += own
