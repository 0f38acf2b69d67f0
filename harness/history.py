"""History policies: which part of a conversation the next prompt still shows.

A policy is a pure function `(messages, render, count) -> messages`; it is named by a task's spec and applied
by the loop before every call. `render` gives the prompt as it will be sent, `count` the policy's own tokens.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from harness.errors import UsageError
from harness.types import Message

Render = Callable[[Sequence[Message]], str]
Count = Callable[[str], int]
Policy = Callable[[Sequence[Message], Render, Count], Sequence[Message]]

OMITTED = "\n\n[{count} earlier messages are left out.]"
"""Own wording of the notice that AgentBench's client appends to the first message; its literal is not part
of the data mirror."""

_NAME = re.compile(r"(?P<kind>segments|pairs)-(?P<limit>[1-9][0-9]*)(?:-(?P<counter>cl100k|estimate))?")


def policy(name: str) -> tuple[Policy, str]:
    """Find a policy by name, and the name of its counter in `harness.tokens`.

    `none` shows everything. `segments-3500` is AgentBench's window (and so for other limits).
    `pairs-4036` is SciWorld's trimming by pairs, counted in cl100k; `pairs-3840-estimate` counts a third of
    the characters instead.

    Raises:
        UsageError: unknown name.
    """
    if name == "none":
        return everything, "estimate"
    found = _NAME.fullmatch(name)
    if found is None or (found["kind"] == "segments" and found["counter"]):
        raise UsageError(
            f"unknown history policy {name!r}: choose none, segments-LIMIT or pairs-LIMIT[-COUNTER]"
        )
    limit = int(found["limit"])
    if found["kind"] == "segments":
        return window(limit), "segments"
    return pairs(limit), found["counter"] or "cl100k"


def everything(messages: Sequence[Message], render: Render, count: Count) -> Sequence[Message]:
    """Show the whole conversation."""
    del render, count
    return messages


def window(limit: int) -> Policy:
    """Keep the first message and as many of the newest as stay below `limit` tokens together.

    A system message counts as part of the head. What is kept after a cut never starts with a user's turn, and
    a notice in the first message counts what is left out. A newest message that alone exceeds the limit is
    left out too, as upstream does.
    """

    def shown(messages: Sequence[Message], render: Render, count: Count) -> Sequence[Message]:
        del render
        first = next((i for i, message in enumerate(messages) if message.role != "system"), None)
        if first is None:
            return messages
        total = sum(count(message.content) for message in messages[: first + 1])
        start = len(messages)
        while start > first + 1:
            total += count(messages[start - 1].content)
            if total >= limit:
                break
            start -= 1
        if start < len(messages) and messages[start].role == "user":
            start += 1
        omitted = start - first - 1
        if omitted == 0:
            return messages
        head = messages[first]
        head = replace(head, content=head.content + OMITTED.format(count=omitted))
        return [*messages[:first], head, *messages[start:]]

    return shown


def pairs(limit: int) -> Policy:
    """Drop pairs of turns until the prompt, without the answer's opening, is at most `limit` tokens.

    First go the exemplar's pairs (pin `shot`) from the second on, oldest first; the first one goes together
    with the last of them. Then go the oldest turns after the task (pin `task`), an observation and the answer
    to it at a time, all but the first answer. Instruction, task and newest observation always stay.
    """

    def shown(messages: Sequence[Message], render: Render, count: Count) -> Sequence[Message]:
        cuts = _cuts(messages)

        def fits(kept: Sequence[Message]) -> bool:
            return count(_without_opening(render(kept), kept)) <= limit

        # Every cut shortens the prompt, so the first that fits can be found by halving.
        low, high = 0, len(cuts) - 1
        if fits(cuts[0](messages)):
            return messages
        while low < high - 1:
            middle = (low + high) // 2
            if fits(cuts[middle](messages)):
                high = middle
            else:
                low = middle
        return cuts[high](messages)

    return shown


_Cut = Callable[[Sequence[Message]], Sequence[Message]]


def _cuts(messages: Sequence[Message]) -> list[_Cut]:
    """List the successive cuts, from nothing dropped to all that may be."""
    shots = [i for i, message in enumerate(messages) if message.pin == "shot"]
    task = next((i for i, message in enumerate(messages) if message.pin == "task"), None)
    if task is None:
        return [_drop([])]
    cuts = [_drop([])]
    gone: list[tuple[int, int]] = []
    if shots:
        start, end = shots[0], shots[-1] + 1
        cuts += [_drop([(start + 2, cut)]) for cut in range(start + 4, end, 2)]
        gone = [(start, end)]
        cuts.append(_drop(gone))
    first_live = task + 2  # the first answer stays: the deletion upstream starts one turn after it
    cuts += [_drop([*gone, (first_live, cut)]) for cut in range(first_live + 2, len(messages), 2)]
    return cuts


def _drop(ranges: Sequence[tuple[int, int]]) -> _Cut:
    def cut(messages: Sequence[Message]) -> Sequence[Message]:
        kept: list[Message] = []
        position = 0
        for start, end in ranges:
            kept.extend(messages[position:start])
            position = end
        kept.extend(messages[position:])
        return kept

    return cut


def _without_opening(prompt: str, messages: Sequence[Message]) -> str:
    """Cut off what a template puts after the last message to open the answer; white space stays.

    After an empty message nothing says where the opening begins, so it is counted along.
    """
    content = messages[-1].content.strip() if messages else ""
    at = prompt.rfind(content)
    if at < 0 or not content:
        return prompt
    end = at + len(content)
    while end < len(prompt) and prompt[end].isspace():
        end += 1
    return prompt[:end]
