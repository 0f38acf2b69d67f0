"""The graders: whether an answer is the one expected, and what an episode is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tasks.os import reading
from tasks.os.rows import OsProblem


def matches(answer: str | None, expected: str, *, careful: bool = False) -> bool:
    """Whether an answer is the one expected; to a careful reader, whatever marks are around it."""
    if answer is None:
        return False
    return answer.strip() == expected or (careful and careful_match(answer, expected))


def careful_match(answer: str, expected: str) -> bool:
    """Whether an answer says the number, or the text, that is expected."""
    return reading.integer(answer) == int(expected) if _is_whole(expected) else reading.same(answer, expected)


def _is_whole(text: str) -> bool:
    return text.strip().removeprefix("-").isdecimal() and len(text) <= reading.LONGEST


def integer_match(answer: str, expected: str) -> bool:
    """Whether both are whole numbers and the same; spaces around them do not matter, words do."""
    try:
        return int(answer) == int(expected)
    except ValueError:
        return False


def string_match(answer: str, expected: str) -> bool:
    """Whether both are the same text but for spaces around it and the kind of line ends."""

    def normal(text: str) -> str:
        return text.strip().replace("\r\n", "\n")

    return normal(answer) == normal(expected)


_UNITS = ("B", "Byte", "K", "KB", "M", "MB", "G", "GB", "T", "TB", "P", "PB")
_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4, "P": 5}


def size_match(answer: str, expected: str) -> bool:
    """Whether both are the same size.

    As upstream, the first unit of its list that ends the text counts, and `B` comes first: `12KB` is no
    size, and neither is `4.0K`, whose number is not whole.
    """
    try:
        return _bytes(answer) == _bytes(expected)
    except ValueError:
        return False


def _bytes(text: str) -> int:
    text = text.strip()
    unit = next((unit for unit in _UNITS if text.endswith(unit)), "")
    number = int(text[: len(text) - len(unit)])
    return number << 10 * _POWERS.get(unit[:1], 0)


def _careful_integer(answer: str, expected: str) -> bool:
    return _is_whole(expected) and reading.integer(answer) == int(expected)


def _careful_size(answer: str, expected: str) -> bool:
    size = reading.size(answer)
    return size is not None and size == reading.size(expected)


GRADERS = {"integer-match": integer_match, "string-match": string_match, "size-match": size_match}
_CAREFUL = {"integer-match": _careful_integer, "string-match": reading.same, "size-match": _careful_size}


def grade(name: str, params: Sequence[str], *, careful: bool = False) -> bool:
    """Apply a generic grader to the answer and the first script's output; a careful one takes more forms."""
    if len(params) < 2:
        return False
    return GRADERS[name](params[0], params[1]) or (careful and _CAREFUL[name](params[0], params[1]))


# --- corrected gold ---------------------------------------------------------------------------------

# Examples that do not compute what their problem asks, as (what is replaced, by what). `wc ... {} +` adds a
# line with the total, which the example then adds once more.
_TOTAL = ("{} +", "{} \\;")
CORRECTIONS: Mapping[str, tuple[str, str]] = {
    **{f"7/2023-06-07-00-13-14/{index}": _TOTAL for index in (5, 54, 56, 64, 77, 82)},
    # Last line's sum: right only while the total is the last line.
    "7/2023-06-07-00-13-14/10": ("END {print $1 + $2}", '$NF != "total" {s += $1 + $2} END {print s + 0}'),
    "4/N11/0": ("*k*", "*u*"),
    "5/new/4": ("ls -1 ", "ls -1 /usr"),
}


def corrected(problem: OsProblem) -> str:
    """The example's code with its known mistake repaired."""
    code = problem.example.code if problem.example else ""
    wrong, right = CORRECTIONS.get(problem.id, ("", ""))
    return code.replace(wrong, right) if wrong else code
