"""Finds the answer in a worked solution: as the paper did, by a stricter rule, and by lm-eval's filters."""

from __future__ import annotations

import re
from collections import deque
from decimal import Decimal

CUT = "Question:"
"""Upstream sends no stop string; its client cuts here, because the model goes on with a next question."""

EOS = "</s>"
MAX_DIGITS = 4300
"""Python refuses to read longer integer literals; upstream's `eval` then counts them as invalid."""

_GOLD = re.compile(r"#### (\-?[0-9\.\,]+)")
_DIGITS = re.compile(r"\d+")
_ANSWER_IS = re.compile(r"the answer is", re.IGNORECASE)
_NUMBER = re.compile(
    r"(?P<sign>(?<![\w)])[-+\u2212])?\$?(?P<inner>(?<=\$)[-\u2212])?"
    r"(?P<digits>(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)",
    re.ASCII,
)
_STRICT = re.compile(r"#### (\-?[0-9\.\,]+)")
_FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")


def gold(answer: str) -> str:
    """The reference answer's number without its thousands commas, e.g. `-10`."""
    found = _GOLD.search(answer)
    if found is None:
        raise ValueError(f"reference answer without a final line '#### N': {answer[-80:]!r}")
    return found.group(1).replace(",", "")


def literal_int(digits: str) -> int | None:
    """What Python's `eval` makes of a run of digits; None where it would raise.

    It knows only ASCII digits, refuses leading zeros (except in zero itself) and literals over 4,300 digits.
    """
    if not digits.isascii() or not digits.isdigit() or len(digits) > MAX_DIGITS:
        return None
    if digits[0] == "0" and digits.strip("0"):
        return None
    return int(digits)


def paper_number(text: str) -> int | None:
    """The paper's reading: the last run of digits before the first `Question:`."""
    found = _last(_DIGITS, text.split(CUT)[0])
    return literal_int(found.group()) if found else None


def fixed_number(text: str) -> Decimal | None:
    """The stricter reading: the number after the last `the answer is`, or else the last number."""
    text = text.split(CUT)[0].split(EOS)[0]
    said = _last(_ANSWER_IS, text)
    found = _NUMBER.search(text, said.end()) if said else _last(_NUMBER, text)
    return _decimal(found) if found else None


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    # Keeps one match at a time: a hostile reply may hold millions.
    return next(iter(deque(pattern.finditer(text), maxlen=1)), None)


def _decimal(found: re.Match[str]) -> Decimal:
    digits = found["digits"].replace(",", "")
    negative = (found["sign"] or found["inner"] or "+") in "-\u2212"
    return Decimal(digits).copy_negate() if negative else Decimal(digits)


def strict_match(text: str, answer: str) -> bool:
    """lm-eval's `strict-match`: the first `#### N`, compared as text after its clean-up."""
    found = _STRICT.search(text.split(CUT)[0])
    return found is not None and _clean(found.group(1)) == _clean(answer)


def flexible_match(text: str, answer: str) -> bool:
    """lm-eval's `flexible-extract`: the last number-like run, compared as text after its clean-up."""
    found = _last(_FLEXIBLE, text.split(CUT)[0])
    return found is not None and _clean(found.group().strip()) == _clean(answer)


def _clean(text: str) -> str:
    text = text.rpartition("#### ")[2]
    return text.replace(",", "").replace("$", "").removesuffix(".").lower()


def judge(text: str, answer: str) -> dict[str, float]:
    """Score one transcript by every rule.

    Args:
        text: the model's reply.
        answer: the reference answer with its final line `#### N`.
    """
    number = gold(answer)
    paper, fixed = paper_number(text), fixed_number(text)
    return {
        "paper": float(paper is not None and Decimal(paper) == Decimal(number)),
        "fixed": float(fixed is not None and fixed == Decimal(number)),
        "lm_eval_strict": float(strict_match(text, answer)),
        "lm_eval_flexible": float(flexible_match(text, answer)),
    }
