"""Reads the items: a conversation that needs a plain answer, and the circumstance it is an example of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from harness.authoring import jsonl
from harness.errors import DataError
from harness.types import Message, Role

FORMAT = "format"
"""The circumstance of the format level; every other one is of the action level."""

CIRCUMSTANCES = (FORMAT, "no_tools-not_needed", "no_tools-needed", "tools-not_needed", "tools-needed")
"""What the system prompt offers, and whether the question needs a tool; see the README."""

ITEMS = "items.jsonl"
ROLES = ("system", "user", "assistant")
_FIELDS = {"circumstance": str, "messages": list, "answer": str, "tools": list}
_FIX = "mend it, or make the file again: harness data prepare agent_h --from FILE"


@dataclass(frozen=True, slots=True)
class AgentHRow:
    """One item.

    Attributes:
        messages: the conversation up to the turn that the model has to write.
        answer: the plain answer that the data has in this place.
        tools: names of the functions that the system prompt offers.
    """

    id: str
    circumstance: str
    messages: tuple[Message, ...]
    answer: str
    tools: tuple[str, ...]

    @property
    def level(self) -> str:
        """`format` or `action`."""
        return FORMAT if self.circumstance == FORMAT else "action"


def rows(folder: Path) -> Iterator[AgentHRow]:
    """The items in the order of the file; an id is the circumstance and the place among its items.

    Raises:
        DataError: an item is not of the documented form.
    """
    seen = dict.fromkeys(CIRCUMSTANCES, 0)
    for number, found in enumerate(jsonl(folder / ITEMS, fields=_FIELDS, fix=_FIX), 1):
        where = f"{folder / ITEMS}: item {number}"
        circumstance = str(found["circumstance"])
        if circumstance not in seen:
            raise DataError(
                f"{where}: the circumstance {circumstance!r} is not one of {', '.join(seen)}; {_FIX}"
            )
        messages = tuple(_message(one, where) for one in found["messages"])
        if not messages or messages[-1].role != "user":
            raise DataError(f"{where}: the last message is not the user's; {_FIX}")
        tools = tuple(map(str, found["tools"]))
        name = f"{circumstance}/{seen[circumstance]:04d}"
        yield AgentHRow(name, circumstance, messages, found["answer"], tools)
        seen[circumstance] += 1


def _message(found: Any, where: str) -> Message:
    one = cast("Mapping[str, Any]", found if isinstance(found, dict) else {})
    role, content = one.get("role"), one.get("content")
    if role not in ROLES or not isinstance(content, str):
        raise DataError(f"{where}: a message needs a role ({', '.join(ROLES)}) and a content; {_FIX}")
    return Message(cast(Role, role), content, "task")
