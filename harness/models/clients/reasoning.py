"""Parts a reply into the thought before its answer and the answer (pure functions).

A thought is what stands between `<think>` and `</think>` at the very beginning of a reply. Everywhere else
the two words are text: an answer may speak of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.models.clients.answer import cut

OPEN, CLOSE = "<think>", "</think>"
THOUGHT = "thought"
"""The note on a reply whose thought was taken out."""

_UNDECIDED = 64
"""Characters of white space after which a stream's text counts as begun."""

_TAG = re.compile("</?think>")
_BEGINNING = re.compile(rf"\s*+{OPEN}")
_BLANK_LINES = re.compile(r"(?:[ \t]*+\r?\n)*+")


@dataclass(frozen=True, slots=True)
class Parts:
    """A reply in its two parts.

    Attributes:
        thought: without the tags around it; several thoughts in a row are joined by an empty line.
        answer: what follows, without the blank lines between; the whole reply where there is no thought.
        ended: False when the reply ends within a thought, so that there is no answer.
    """

    thought: str
    answer: str
    ended: bool = True


def opens(prompt: str) -> bool:
    """Whether a prompt ends in an opened thought, as some templates end the generation prompt."""
    return prompt.rstrip().endswith(OPEN)


def parts(text: str, *, opened: bool | None = False) -> Parts:
    """Part a reply; the time is in proportion to its length.

    A thought ends at the `</think>` that closes as many as were opened; one that never gets there (it
    mentions `<think>`) at the last `</think>`. Thoughts that follow each other count as one.

    Args:
        text: the reply.
        opened: whether the prompt ends in an opened thought; None where the server made the prompt, and then
            a `</think>` before any `<think>` shows it.
    """
    opened = _is_opened(text, opened)
    at, thoughts = 0, list[str]()
    while True:
        if not opened:
            if (found := _BEGINNING.match(text, at)) is None:
                break
            at = found.end()
        opened = False
        inner, end = _inner(text, at)
        thoughts.append(text[at:inner].strip())
        if end is None:
            return Parts(_joined(thoughts), "", ended=False)
        at = end
    if not thoughts:
        return Parts("", text)
    after = _BLANK_LINES.match(text, at)
    return Parts(_joined(thoughts), text[after.end() if after else at :])


def _is_opened(text: str, opened: bool | None) -> bool:
    if opened is not None:
        return opened
    first = _TAG.search(text)
    return first is not None and first[0] == CLOSE


def after(thought: str, found: Parts) -> Parts:
    """The parts of a reply of which the server kept a thought apart."""
    return Parts(_joined((thought.strip(), found.thought)), found.answer, found.ended)


def _inner(text: str, start: int) -> tuple[int, int | None]:
    """Where a thought that begins at `start` ends, and where what follows begins; None when nothing does."""
    depth, last = 1, None
    for tag in _TAG.finditer(text, start):
        if tag[0] == OPEN:
            depth += 1
            continue
        depth, last = depth - 1, tag
        if depth == 0:
            break
    return (len(text), None) if last is None else (last.start(), last.end())


def _joined(thoughts: Sequence[str]) -> str:
    return "\n\n".join(filter(None, thoughts))


class StopWatch:
    """Tells, of a text that comes in pieces, when a stop string stands in its answer.

    Stop strings within a thought do not count: a task means those of the answer.

    Args:
        stops: empty never finds any.
        opened: as of `parts`.
        thoughts: False where thoughts are part of the answer.
    """

    def __init__(
        self, stops: Sequence[str] = (), *, opened: bool | None = False, thoughts: bool = True
    ) -> None:
        self._stops = tuple(filter(None, stops))
        self._opened, self._thoughts = opened if thoughts else False, thoughts
        self._end = ""
        """The end of the text so far, as long as a stop string (or tag) that continues may be."""
        self._state = "answer" if not thoughts else "thought" if opened else "beginning"

    def sees(self, piece: str) -> bool:
        """Take the next piece; whether a stop string may stand in the answer, which `confirms` decides."""
        if not self._stops:
            return False
        window = self._end + piece
        if self._state == "beginning":
            head = window.lstrip()
            if len(head) < len(OPEN) and OPEN.startswith(head) and len(window) < _UNDECIDED:
                self._end = window
                return False
            self._state = "thought" if head.startswith(OPEN) else "answer"
        if self._state == "thought":
            before, closed, window = window.partition(CLOSE)
            if not closed:
                self._end = before[-len(CLOSE) :]
                return False
            self._state = "answer"
        self._end = window[-max(map(len, self._stops)) :]
        return any(stop in window for stop in self._stops)

    def confirms(self, text: str) -> bool:
        """Whether a text that `sees` pointed out is complete; if not, this watch sees nothing more.

        A replacement character before the stop string may be half of a real one, and a thought in which
        more was opened than closed may go on: only the rest of the text tells.
        """
        found = parts(text, opened=self._opened) if self._thoughts else Parts("", text)
        answer, stopped = cut(found.answer, self._stops)
        before = text[: len(text) - len(found.answer)]
        left_open = before.count(OPEN) + _is_opened(text, self._opened) > before.count(CLOSE)
        if stopped and not left_open and "\ufffd" not in before + answer:
            return True
        self._stops = ()
        return False
