"""Replaces the texts of an attempt whose data must not spread by their hashes and lengths."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

from harness.storage import plain
from harness.storage.records import Attempt, CallRecord, Turn
from harness.types import Ask, Message

OVERFLOW = "context: "
"""How the note begins on a prompt that did not fit; the server's words follow."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64} length:\d+")
_KIND = re.compile(r"(?:\w+\.)*([A-Z]\w*)(?::|$)")


def without_texts(attempt: Attempt) -> Attempt:
    """Copy of an attempt that keeps no prompt, reply, thought, message, log, answer or target.

    Value, metrics, facts, labels and the task's note stay, and so does `pending`: without what its judge is
    to read, a judged episode would never get its value. Of an error only its kind stays, and of a note on a
    prompt that did not fit nothing: servers repeat what they refuse.
    """
    note = attempt.note
    return replace(
        attempt,
        error=_error(attempt.error),
        note=f"{OVERFLOW}{digest(note)}" if note.startswith(OVERFLOW) else note,
        calls=[_call(call) for call in attempt.calls],
        answer=digest(attempt.answer),
        target=digest(attempt.target),
        last=_turn(attempt.last),
    )


def digest(text: str) -> str:
    """What is kept of a private text: its SHA-256 and how many characters it had; empty stays empty."""
    if not text:
        return ""
    return f"sha256:{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()} length:{len(text)}"


def is_digest(text: str) -> bool:
    """Whether a stored text is what `digest` left of a private one."""
    return _DIGEST.fullmatch(text) is not None


def _error(text: str) -> str:
    """The exception's class, which decides about another attempt, and how to see the rest."""
    if not text:
        return ""
    # In a traceback the class stands in the first line that is not indented, behind the heading.
    first, *rest = text.strip().splitlines()
    if first.startswith("Traceback"):
        first = next((line for line in rest if not line.startswith(" ")), "")
    found = _KIND.match(first)
    return f"{found[1] if found else 'failure'}: {digest(text)} (run --trace-private keeps the text)"


def _call(call: CallRecord) -> CallRecord:
    return replace(
        call,
        prompt=digest(call.prompt),
        reply=digest(call.reply),
        info=_info(call.info),
        turn=_turn(call.turn),
        thought=digest(call.thought),
    )


def _turn(turn: Turn | None) -> Turn | None:
    if turn is None:
        return None
    return replace(
        turn,
        messages=tuple(Message(m.role, digest(m.content), m.pin) for m in turn.messages),
        said=None if turn.said is None else digest(turn.said),
        raw=None if turn.raw is None else digest(turn.raw),
        ask=_ask(turn.ask),
        changed=tuple((index, kept, digest(text)) for index, kept, text in turn.changed),
        info=_info(turn.info),
    )


def _ask(ask: Ask | None) -> Ask | None:
    if ask is None:
        return None
    return replace(ask, choices=tuple(map(digest, ask.choices)), prefix=digest(ask.prefix))


def _info(info: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"private": digest(plain.encode(info).decode("utf-8", "surrogatepass"))} if info else {}
