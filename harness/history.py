"""History policies: which part of a conversation the next prompt still shows.

A policy is a pure function `(messages, render, count) -> messages`; it is named by a task's spec and applied
by the loop before every call. `render` gives the prompt as it will be sent, `count` the policy's own tokens.
The windows are those of AgentBench's client: it counts and rewrites messages unstripped, then strips them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from harness import tokens
from harness.errors import UsageError
from harness.types import ASKS, Message, Notice, TaskConfig

Render = Callable[[Sequence[Message]], str]
Count = Callable[[str], int]
Policy = Callable[[Sequence[Message], Render, Count], Sequence[Message]]
Shown = Callable[[Sequence[Message], Render], Sequence[Message]]

_NAME = re.compile(
    r"segments-(?P<window>[1-9][0-9]*)(?P<verbatim>-verbatim)?"
    r"|pairs-(?P<pairs>[1-9][0-9]*)(?:-(?P<counter>cl100k|estimate))?"
)


def policy(name: str, notice: Notice | None = None) -> tuple[Policy, str]:
    """Find a policy by name, and the name of its counter in `harness.tokens`.

    `none` shows everything. `segments-3500` is AgentBench's client (and so for other limits): its window,
    then every message stripped; `segments-3500-verbatim` does not strip.
    `pairs-4036` is SciWorld's trimming by pairs, counted in cl100k; `pairs-3840-estimate` counts a third of
    the characters instead.

    Args:
        name: of the policy.
        notice: what a window appends to the first message; None appends nothing.

    Raises:
        UsageError: unknown name.
    """
    if name == "none":
        return everything, "estimate"
    found = _NAME.fullmatch(name)
    if found is None:
        raise UsageError(
            f"unknown history policy {name!r}: "
            "choose none, segments-LIMIT[-verbatim] or pairs-LIMIT[-COUNTER]"
        )
    if found["window"]:
        shown = window(int(found["window"]), notice)
        return (shown if found["verbatim"] else stripped(shown)), "segments"
    return pairs(int(found["pairs"])), found["counter"] or "cl100k"


@lru_cache(maxsize=64)
def counting(name: str, notice: Notice | None = None, vocabulary: Path | None = None) -> Shown:
    """A policy together with its token counter.

    Raises:
        UsageError: unknown name.
        MissingPart: the counter's vocabulary is not there, with the fix.
    """
    shown, counter = policy(name, notice)
    count = tokens.counter(counter, vocabulary)
    return lambda messages, render: shown(messages, render, count)


def counter_of(name: str) -> str:
    """The token counter of a policy, by its name in `harness.tokens`."""
    return policy(name, None)[1]


def takes_notice(name: str) -> bool:
    """Whether a policy of this name appends to the first message how many others it left out."""
    return name.startswith("segments-")


def window_notice(name: str, cfg: TaskConfig) -> Notice | None:
    """The text that a policy appends about the messages it left out; None for none.

    Raises:
        MissingPart: neither mirror nor cache has the texts.
        DataError: the texts are not the pinned ones, or the fixture's file is of another form.
    """
    from harness import data

    return data.notice(cfg.data, cfg.source, cfg.mirror) if takes_notice(name) else None


def vocabulary(name: str, cfg: TaskConfig) -> Path | None:
    """The file a policy counts tokens with; None when it needs none.

    Raises:
        MissingPart: it is not there, with the fix.
    """
    from harness import data

    return data.core_path(tokens.CL100K_FILE, cfg) if counter_of(name) == "cl100k" else None


def everything(messages: Sequence[Message], render: Render, count: Count) -> Sequence[Message]:
    """Show the whole conversation."""
    del render, count
    return messages


def window(limit: int, notice: Notice | None) -> Policy:
    """Keep the first message and as many of the newest as stay below `limit` tokens together.

    A system message counts as part of the head. What is kept after a cut never starts with a user's or a
    function's turn, and `notice` at the end of the first message counts what is left out. A newest message
    that alone exceeds the limit is left out too, as upstream does.
    """

    def shown(messages: Sequence[Message], render: Render, count: Count) -> Sequence[Message]:
        del render
        first = next((i for i, message in enumerate(messages) if message.role != "system"), None)
        if first is None:
            return messages
        start = _start(messages, first, limit, count)
        omitted = start - first - 1
        if omitted == 0:
            return messages
        head = messages[first]
        if notice is not None:
            before, after = notice
            head = replace(head, content=f"{head.content}{before}{omitted}{after}")
        return [*messages[:first], head, *messages[start:]]

    return shown


def _start(messages: Sequence[Message], first: int, limit: int, count: Count) -> int:
    """The index of the first message that a window shows after the head."""
    total = sum(count(message.content) for message in messages[: first + 1])
    start = len(messages)
    while start > first + 1:
        total += count(messages[start - 1].content)
        if total >= limit:
            break
        start -= 1
    cut = start > first + 1
    return start + 1 if cut and start < len(messages) and messages[start].role in ASKS else start


def stripped(policy: Policy) -> Policy:
    """Strip every message that a policy shows, with what it appended."""

    def shown(messages: Sequence[Message], render: Render, count: Count) -> Sequence[Message]:
        return [_stripped(message) for message in policy(messages, render, count)]

    return shown


def _stripped(message: Message) -> Message:
    content = message.content.strip()
    return message if content == message.content else replace(message, content=content)


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
