"""Makes the items of a user's file of conversations with function calls (glaive-function-calling-v2)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from harness.authoring import write_jsonl
from harness.authoring.json_stream import Truncated, values
from harness.data import Tell
from harness.errors import DataError
from tasks.agent_h.recipe import CIRCUMSTANCES, Drawing, items
from tasks.agent_h.rows import ITEMS

LONGEST = 8 << 20
"""Most bytes of a conversation."""

Conversation = tuple[str, str]


def prepare(source: Path, target: Path, tell: Tell) -> list[Path]:
    """Write items.jsonl and counts.json by the recipe; the same file gives the same items.

    Raises:
        DataError: the file cannot be read, or gives no item for a circumstance; the message names it.
    """
    without = (system for system, _ in _conversations(source) if system.strip() and '"name"' not in system)
    no_tools = min(without, key=lambda text: (len(text), text), default="")
    drawing = Drawing()
    for number, (system, chat) in enumerate(_conversations(source), 1):
        drawing.add(list(items(system, chat, no_tools.removeprefix("SYSTEM:").strip())))
        if number % 10_000 == 0:
            tell(number, None, "conversations")
    counts = drawing.counts()
    if lacking := [name for name in CIRCUMSTANCES if not counts["taken"][name]]:
        raise DataError(
            f"{source}: {drawing.read} conversations give no item for {', '.join(lacking)}; "
            "give the whole glaive-function-calling-v2.json"
        )
    written = write_jsonl(target / ITEMS, drawing.taken())
    stored = target / "counts.json"
    stored.write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")
    return [written, stored]


def _conversations(source: Path) -> Iterator[Conversation]:
    """System text and turns of every conversation, of a JSON array or of JSON lines."""
    try:
        with source.open("rb") as file:
            for one in values(file, LONGEST):
                yield _conversation(one.text, f"{source}:{one.line}", cut=one.cut)
    except (OSError, Truncated) as error:
        raise DataError(
            f"{source} cannot be read: {error}; give the file glaive-function-calling-v2.json"
        ) from error


def _conversation(text: bytes, where: str, *, cut: bool) -> Conversation:
    fix = "give the file glaive-function-calling-v2.json"
    if cut:
        raise DataError(f"{where}: a conversation of over {LONGEST} bytes; {fix}")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: no JSON ({error}); {fix}") from error
    pair = (found.get("system"), found.get("chat")) if isinstance(found, dict) else (None, None)
    if not (isinstance(pair[0], str) and isinstance(pair[1], str)):
        raise DataError(f"{where}: a conversation needs `system` and `chat`; {fix}")
    return pair[0], pair[1]
