"""Reads the answer out of a worked solution as a careful person does; linear in the text.

A line `#### N` counts first, then a box, then what follows the last "the answer is", then the last number
that is no part of a range, an enumeration or a check of the work. A correction ("no, it is 17") is read in
the same way.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice, pairwise

from tasks._shared.numerals import Numeral, in_words, numerals, tidy

LONGEST = 400
"""Characters of a sentence in which an answer is looked for."""

TAIL = 6000
"""Characters from the end in which the last number is looked for when nothing names the answer."""

MARKS = 50
"""Marks of one kind that are looked at, from the last on; a text with more of them repeats itself."""

_MARKED = re.compile(r"^[ \t]*#{4}[ \t]*([^\n]*)", re.MULTILINE)
_BOXED = re.compile(r"\\(?:boxed|fbox)\s{0,3}\{([^\n]{0,200})")
_ANSWER = re.compile(
    r"\banswer\b(?:\s(?:to|for|of)\b[^.\n\d=:]{0,60}?)?\s{0,3}+(?=[iawsmce=:])"
    r"(?:is|are|was|would be|will be|should be|must be|comes to|equals|=|:)(?![a-z])[\s:=]{0,9}",
    re.IGNORECASE,
)
_END = re.compile(r"[.!?;](?=[\s\"')\]*$]|$)|\n")
_EQUALS = re.compile(
    r"=>?|\u2248|\u2192|\\approx|\\Rightarrow|(?<!\()\b(?:which|that) (?:is|equals|gives)\b|\bis equal to\b"
    r"|\bequals?\b|(?<!\()\bi\.e\.|,\s?so\b|\bnot\b[^=]{1,40}?\bbut\b",
    re.IGNORECASE,
)
_OPERATOR = re.compile(
    r"[+*/\u00d7\u00f7^]|[\s)][-x][\s($]|\\times|\\cdot|\\div|%\s*of\b"
    r"|\b(?:times|plus|minus|divided by|multiplied by|more than|less than|fewer than)\b"
)
_ANOTHER = re.compile(r"\s*(?:[^\W\d]+\s+){0,3}(?:or|and|,)\s*(?:maybe\s|perhaps\s|possibly\s)?\s*$|,\s*$")
_CORRECTION = re.compile(
    r"(?:^|(?<=[.!?;:,(\n\u2013\u2014-])|(?<=[.!?;:,(\n\u2013\u2014-] ))"
    r"(?:(?:no|wait|sorry|oops|hold on|scratch that|correction|rather)\b\s?[,:;.!\u2013\u2014-]"
    r"|actually\b|i mean\b|i meant\b|make that\b|it should be\b|correction\b|scratch that\b)",
    re.IGNORECASE,
)
_NUMBERING = re.compile(
    r"^[ \t]*\(?\d{1,2}[.)][ \t]+(?=\S)"
    r"|\b(?:step|steps|question|problem|part|equation|line|example)[ \t]*\d{1,3}\b[.:)]?",
    re.IGNORECASE | re.MULTILINE,
)
_CHECK = re.compile(
    r"\b(?:(?:double[- ])?check(?:ing)?\b|verif(?:y|ying|ication)\b|to confirm\b|sanity\b|proof\b)", re.I
)
_NONE = re.compile(
    r"\W*(?:not (?!\S{1,20},? but)|un(?:known|clear|determined)\b|impossible|in ?determinate)", re.I
)
_REFUSED = re.compile(
    r"\b(?:can(?:no|')t|cannot|unable to|not able to) (?:\w+ ){0,2}(?:be )?"
    r"(?:determine|answer|solve|say|calculate|help|tell)|not enough information|insufficient information"
    r"|\bdo(?:n't| not) know\b",
    re.IGNORECASE,
)
_SPACED = re.compile(r"(?<![\d.,])\d{1,3}(?: \d{3})+(?![\d,])")
_LEAD = re.compile(r"\W*(?:(?:about|exactly|only|just|approximately|simply|therefore|a total of)\W+)*", re.I)

Found = tuple[bool, Decimal | None]
"""Whether a place holds an answer, and the number; an answer that is no single number has none."""

NOTHING: Found = (False, None)


def final_number(text: str) -> Decimal | None:
    """The number a reply gives as its answer; None where it gives none, or more than one."""
    return _read(tidy_lines(text))[1]


def tidy_lines(text: str) -> str:
    """The text as it is read, its boxes kept."""
    return "".join(
        f"\\boxed{{{tidy(part)}}}\n" if n % 2 else tidy(part) for n, part in enumerate(_boxes_apart(text))
    )


def _boxes_apart(text: str) -> Iterator[str]:
    """The text outside boxes and inside them, in turn."""
    at = 0
    for found in _BOXED.finditer(text):
        if found.start() < at:
            continue
        depth = 1
        for place, char in enumerate(found[1]):
            depth += (char == "{") - (char == "}")
            if not depth:
                yield text[at : found.start()]
                yield found[1][:place]
                at = found.start(1) + place + 1
                break
    yield text[at:]


def _read(text: str, *, corrected: bool = False) -> Found:
    found, start, sentence = _named(text)
    if not found[0]:
        if not corrected and _REFUSED.search(text):
            return True, None
        last = _last(text)
        return last if last[0] or corrected else _spelt(text)
    if corrected or not _CORRECTION.search(text, start):
        return found
    end = start + min(len(sentence), _first_end(sentence))
    later = list(islice(_CORRECTION.finditer(text, end), 50))
    if later and (again := _read(text[later[-1].end() :], corrected=True))[0]:
        return again
    return found


def _spelt(text: str) -> Found:
    """A reply of a few words that spell a number."""
    value = in_words(_LEAD.sub("", text, count=1)) if len(text.split()) <= 4 else None
    return value is not None, value


def _named(text: str) -> tuple[Found, int, str]:
    """The answer that is marked as such, by the strongest mark there is.

    Returns:
        It, where its mark ends, and the sentence behind a mark that does not hold the answer itself.
    """
    for mark in (_MARKED, _BOXED):
        for found in _from_the_last(mark, text):
            if (value := _said(found[1][:LONGEST]))[0]:
                return value, found.end(), ""
    for found in _from_the_last(_ANSWER, text):
        sentence = _sentence(text, found.end())
        if (value := _said(sentence))[0]:
            return value, found.end(), sentence
    return NOTHING, 0, ""


def _from_the_last(mark: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    return reversed(deque(mark.finditer(text), MARKS))


def _sentence(text: str, start: int) -> str:
    """The rest of a sentence, at most `LONGEST` characters of it."""
    part = text[start : start + LONGEST]
    end = _END.search(part)
    return part[: end.start()] if end else part


def _first_end(sentence: str) -> int:
    """Where a sentence's first number ends, behind which it may be corrected."""
    first = next(numerals(sentence), None)
    return first.end if first else len(sentence)


def _said(sentence: str, *, last: bool = False) -> Found:
    """The number a sentence gives: behind its last equals sign that no further sum follows."""
    if not last and _NONE.match(sentence):
        return True, None
    if not last:
        correction = _CORRECTION.search(sentence)
        sentence = (sentence[: correction.start()] if correction else "") or sentence
        sentence = _SPACED.sub(lambda found: found[0].replace(" ", ""), sentence)
    for part in reversed(_EQUALS.split(sentence)):
        found = list(islice(numerals(part), 200))
        if not found:
            continue
        if any(_OPERATOR.search(part[a.end : b.start]) for a, b in pairwise(found[:2])):
            continue
        return _chosen(part, found, last=last)
    if not last and (word := in_words(_LEAD.sub("", sentence, count=1))) is not None:
        return True, word
    return NOTHING


def _chosen(part: str, found: list[Numeral], *, last: bool) -> Found:
    if last:
        single = [one.value for one in found if one.value is not None]
        return (True, single[-1]) if single else NOTHING
    if len(found) > 1 and _ANOTHER.match(part[found[0].end : found[1].start]):
        return True, None
    return True, found[0].value


def _last(text: str) -> Found:
    """The last number that is no part of a range, an enumeration or a check of the work."""
    text = _NUMBERING.sub("", text[-TAIL:])
    check = _CHECK.search(text)
    for part in ([text[: check.start()]] if check else []) + [text]:
        for sentence in reversed(_END.split(part)):
            if (value := _said(sentence[-LONGEST:], last=True))[0]:
                return value
    return NOTHING
