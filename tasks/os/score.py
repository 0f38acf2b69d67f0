"""What a reply asks for, what the model sees of an output, and the graders."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.os.rows import OsProblem

SHOWN = 800
CUT = 780

_ACT = re.compile(r"Act:\s*(.+)")
_OPEN, _CLOSE = "```bash\n", "\n```"


@dataclass(frozen=True, slots=True)
class OsAction:
    """One turn's decision; `text` is a script or an answer."""

    kind: Literal["bash", "answer", "finish", "invalid"]
    text: str = ""


def parse(reply: str) -> OsAction:
    """Read a reply: the last line `Act: ...` that names an action decides."""
    for act in reversed(_ACT.findall(reply)):
        word = act[:6].lower()
        if word.startswith("bash"):
            return OsAction("bash", "\n\n".join(_blocks(reply)))
        if word.startswith("finish"):
            return OsAction("finish")
        if word.startswith("answer"):
            text = act[6:].strip()
            left, right = text.find("("), text.rfind(")")
            if left >= 0 and right >= 0:
                return OsAction("answer", text[left + 1 : right])
    return OsAction("invalid")


def _blocks(reply: str) -> list[str]:
    """The bodies of all blocks fenced as bash, by search: a pattern would be quadratic in a hostile reply."""
    found: list[str] = []
    start = reply.find(_OPEN)
    while start >= 0:
        start += len(_OPEN)
        end = reply.find(_CLOSE, start)
        if end < 0:
            break
        found.append(reply[start:end])
        start = reply.find(_OPEN, end + len(_CLOSE))
    return found


def shorten(text: str, marker: str) -> str:
    """Cut what is longer than 800 characters to 780 and say so."""
    return text if len(text) <= SHOWN else text[:CUT] + marker


# --- grading ----------------------------------------------------------------------------------------


def matches(answer: str | None, expected: str) -> bool:
    """Whether an answer is the one expected."""
    return answer is not None and answer.strip() == expected


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


GRADERS = {"integer-match": integer_match, "string-match": string_match, "size-match": size_match}


def grade(name: str, params: Sequence[str]) -> bool:
    """Apply a generic grader to the answer and the first script's output."""
    return len(params) >= 2 and GRADERS[name](params[0], params[1])


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
