"""Finds the answer in a worked solution: as the paper did, by a stricter rule, and by lm-eval's filters."""

from __future__ import annotations

import re
from decimal import Decimal

from harness.authoring.answers import last_match, literal_int
from harness.types import Score
from tasks._shared.worked_solution import final_number

CUT = "Question:"
"""Upstream sends no stop string; its client cuts here, because the model goes on with a next question."""

EOS = "</s>"
_GOLD = re.compile(r"#### (\-?[0-9\.\,]+)")  # also lm-eval's `strict-match`
_DIGITS = re.compile(r"\d+")
_FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")


def gold(answer: str) -> str:
    """The reference answer's number without its thousands commas, e.g. `-10`."""
    found = _GOLD.search(answer)
    if found is None:
        raise ValueError(f"reference answer without a final line '#### N': {answer[-80:]!r}")
    return found.group(1).replace(",", "")


def paper_number(text: str) -> int | None:
    """The paper's reading: the last run of digits before the first `Question:`."""
    found = last_match(_DIGITS, text.split(CUT)[0])
    return literal_int(found.group()) if found else None


def fixed_number(text: str) -> Decimal | None:
    """A careful reader's (`tasks/_shared/worked_solution.py`), up to the first `Question:` or end mark."""
    return final_number(text.split(CUT)[0].split(EOS)[0])


def strict_match(text: str, answer: str) -> bool:
    """lm-eval's `strict-match`: the first `#### N`, compared as text after its clean-up."""
    found = _GOLD.search(text.split(CUT)[0])
    return found is not None and _clean(found.group(1)) == _clean(answer)


def flexible_match(text: str, answer: str) -> bool:
    """lm-eval's `flexible-extract`: the last number-like run, compared as text after its clean-up."""
    found = last_match(_FLEXIBLE, text.split(CUT)[0])
    return found is not None and _clean(found.group().strip()) == _clean(answer)


def _clean(text: str) -> str:
    text = text.rpartition("#### ")[2]
    return text.replace(",", "").replace("$", "").removesuffix(".").lower()


def scored(text: str, answer: str, profile: str) -> Score:
    """Score a reply by every rule, of which the profile's counts.

    Args:
        text: the reply.
        answer: the reference with its final line `#### N`.
        profile: whose number is also kept as text for readers of the run; empty where it reads none.
    """
    target = gold(answer)
    number, paper, fixed = Decimal(target), paper_number(text), fixed_number(text)
    metrics = {
        "paper": float(paper is not None and Decimal(paper) == number),
        "fixed": float(fixed == number),
        "lm_eval_strict": float(strict_match(text, answer)),
        "lm_eval_flexible": float(flexible_match(text, answer)),
    }
    found = paper if profile == "paper" else fixed
    return Score(metrics[profile], metrics, answer="" if found is None else _written(found), target=target)


def _written(number: int | Decimal) -> str:
    return f"{number:f}" if isinstance(number, Decimal) else str(number)
