"""Writes episodes as lines of a file for `replay:FILE`, which plays them again without a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.export.conversations import cut_in_thought
from harness.models.clients.reasoning import CLOSE, OPEN, Parts, parts
from harness.storage.private import OVERFLOW
from harness.storage.records import CallRecord, EpisodeKey


def line(
    item: EpisodeKey,
    calls: Iterable[CallRecord],
    note: str = "",
    *,
    verdicts: Mapping[tuple[str, int], str] | None = None,
    numbered: bool = False,
) -> dict[str, Any]:
    """One episode as `harness.models.local.answers.read_replay` reads it.

    A thought goes back to where the model wrote it, before its reply. How an episode ended is told where a
    repeated last reply would not end it again.

    Args:
        item: names the episode.
        calls: of the model under test and of the auxiliary roles.
        note: the attempt's.
        verdicts: of the judge, by key and number.
        numbered: the line is for this repeat only.
    """
    calls = list(calls)
    own = [call for call in calls if not call.role]
    found: dict[str, Any] = {
        "task": item.task,
        "sample": item.sample,
        "replies": [_with_thought(call) for call in own],
    }
    if numbered:
        found["repeat"] = item.repeat
    roles = {f"{call.role}/{call.key}": call.reply for call in calls if call.role}
    roles |= {f"judge/{key}/{k}": text for (key, k), text in (verdicts or {}).items()}
    if roles:
        found["roles"] = roles
    if note.startswith(OVERFLOW):
        found["ends"] = "context"
    elif own and cut_in_thought(own[-1]):
        found["ends"] = "thought"
    return found


def _with_thought(call: CallRecord) -> str:
    """The reply behind its thought, if a client that takes thoughts out reads the same two in it."""
    if cut_in_thought(call):
        return f"{OPEN}{call.thought}"
    if not call.thought:
        return call.reply
    whole = f"{OPEN}{call.thought}{CLOSE}\n\n{call.reply}"
    return whole if parts(whole) == Parts(call.thought, call.reply) else call.reply
