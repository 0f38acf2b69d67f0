"""A turn as the store keeps it: texts that the prompt holds are stored as their places in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from harness.storage.records import CallRecord, Turn
from harness.types import Ask, Message

SHORT = 32
"""A text of fewer characters is written out: its place would take as much."""

Text = str | list[int]
"""Written out, or [start, length] in the prompt, with the text around as [start, length, before, after]."""


def packed(turn: Turn, prompt: str, before: CallRecord | None, start: int) -> dict[str, Any]:
    """JSON-like form of a turn; what the call before tells as well is left out.

    Args:
        turn: what the observation brought.
        prompt: the whole prompt of the call, where texts are looked for.
        before: the call before this one, whose `ask` and `info` need no repeating.
        start: where the prompt begins to differ from the one before.
    """
    finder = _Finder(prompt, 0 if turn.fresh else start)
    usual = before.turn.ask if before is not None and before.turn is not None else None
    found: dict[str, Any] = {}
    if turn.fresh:
        found["fresh"] = 1
    if turn.said is not None:
        found["said"] = finder.find(turn.said)
    if turn.messages:
        found["messages"] = finder.messages(turn.messages)
    if turn.raw is not None:
        prefix = turn.ask.prefix if turn.ask is not None else ""
        found["raw"] = 1 if turn.raw + prefix == prompt else turn.raw
    if turn.ask != usual:
        found["ask"] = _ask(turn.ask)
    if turn.kept is not None:
        found["kept"] = turn.kept
    if turn.changed:
        found["changed"] = turn.changed
    if before is not None and before.info and turn.info is before.info:
        found["info"] = 1  # the step after the call before logged it, and it stands there
    elif turn.info:
        found["info"] = turn.info
    return found


def unpacked(found: dict[str, Any], prompt: str, before: CallRecord | None) -> Turn:
    """Undo `packed`, given the call's prompt and the call before."""
    usual = before.turn.ask if before is not None and before.turn is not None else None
    ask = _asked(found["ask"]) if "ask" in found else usual
    raw = found.get("raw")
    if raw == 1:
        raw = prompt.removesuffix(ask.prefix) if ask is not None else prompt
    info: Mapping[str, Any] | int = found.get("info", {})
    if isinstance(info, int):
        info = before.info if before is not None else dict[str, Any]()
    said = found.get("said")
    kept = found.get("kept")
    return Turn(
        messages=tuple(_read(parts, prompt) for parts in found.get("messages", ())),
        said=None if said is None else _text(said, prompt),
        fresh="fresh" in found,
        raw=raw,
        ask=ask,
        kept=None if kept is None else tuple((a, b) for a, b in kept),
        changed=tuple((i, n, text) for i, n, text in found.get("changed", ())),
        info=info,
    )


class _Finder:
    """Looks for texts in a prompt, one after the other from left to right."""

    def __init__(self, prompt: str, start: int) -> None:
        self._prompt, self._at = prompt, start

    def messages(self, messages: Sequence[Message]) -> list[list[Any]]:
        """Role, text and, where there is one, the pin of each message.

        A task with many examples brings twenty with its every question, hence `find`'s first case once more.
        """
        found: list[list[Any]] = []
        prompt, start = self._prompt, self._at
        for message in messages:
            text = message.content
            length = len(text)
            if length < SHORT:
                place: Text = text
            elif (at := prompt.find(text, start)) >= 0:
                place, start = [at, length], at + length
            else:
                self._at = start
                place, start = self.find(text), self._at
            found.append([message.role, place, message.pin] if message.pin else [message.role, place])
        self._at = start
        return found

    def find(self, text: str) -> Text:
        """Where a text stands; templates strip white space around it, which is counted apart."""
        if len(text) < SHORT:
            return text
        at = self._prompt.find(text, self._at)
        if at >= 0:
            self._at = at + len(text)
            return [at, len(text)]
        core = text.strip()
        at = self._prompt.find(core, self._at) if len(core) >= SHORT else -1
        if at < 0:
            return text
        self._at = at + len(core)
        lead = text.index(core)
        return cast(Text, [at, len(core), text[:lead], text[lead + len(core) :]])


def _text(text: Any, prompt: str) -> str:
    if isinstance(text, str):
        return text
    at, length, *around = text
    core = prompt[at : at + length]
    return around[0] + core + around[1] if around else core


def _read(parts: list[Any], prompt: str) -> Message:
    role, content, *pin = parts
    return Message(role, _text(content, prompt), pin[0] if pin else "")


def _ask(ask: Ask | None) -> list[Any] | None:
    if ask is None:
        return None
    fields: list[Any] = [
        ask.max_new_tokens,
        ask.stop,
        ask.temperature,
        ask.top_p,
        ask.choices,
        ask.prefix,
        ask.truncate,
    ]
    while len(fields) > 1 and not fields[-1] and fields[-1] != 0:
        fields.pop()
    return fields


def _asked(fields: list[Any] | None) -> Ask | None:
    if fields is None:
        return None
    names = ("max_new_tokens", "stop", "temperature", "top_p", "choices", "prefix", "truncate")
    given = dict(zip(names, fields, strict=False))
    for name in ("stop", "choices"):
        given[name] = tuple(given.get(name, ()))
    return Ask(**given)
