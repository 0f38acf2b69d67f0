"""How items are made of conversations with function calls: what qualifies, and which of it is taken."""

from __future__ import annotations

import hashlib
import heapq
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.agent_h.action import anywhere, keywords
from tasks.agent_h.rows import CIRCUMSTANCES, FORMAT

SEED = 2403
"""Of the sample; together with RECIPE it names the items."""

RECIPE = 1
"""Version of these rules."""

PER_CIRCUMSTANCE = 369
"""Items of each of the five circumstances; 1,845 together, as many as the paper's."""

CALL = "<functioncall>"
_TURN = re.compile(r"(?:^|\n)[ \t]*(USER|ASSISTANT|FUNCTION RESPONSE):")
_NAME = re.compile(r'"name":\s*"([\w.-]+)"')
_FORMAT = re.compile(
    r"\b(?:in|as) (?:an? |the )?(?:json|xml|yaml|csv|html|markdown|table|bullet points?|one sentence|haiku"
    r"|(?:numbered |bulleted )?list)\b",
    re.IGNORECASE,
)
_ROLES = {"USER": "user", "ASSISTANT": "assistant", "FUNCTION RESPONSE": "function"}

Item = Mapping[str, Any]


def turns(chat: str) -> list[tuple[str, str]]:
    """Roles and texts of a conversation as the data has it."""
    parts = _TURN.split(chat)
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    return [(_ROLES[role], text.replace("<|endoftext|>", "").strip()) for role, text in pairs]


def items(system: str, chat: str, no_tools: str) -> Iterator[Item]:
    """The items that a conversation can make, one for each circumstance at most.

    Args:
        system: its system text; it offers functions when it holds a `"name"`.
        chat: its turns.
        no_tools: a system text without functions, for questions that need one.
    """
    said = turns(chat)
    system = system.removeprefix("SYSTEM:").strip()
    tools = list(dict.fromkeys(_NAME.findall(system)))
    if [role for role, _ in said[:2]] != ["user", "assistant"]:
        return
    (_, question), (_, answer) = said[:2]
    asked = [_message("system", system), _message("user", question)]
    if not answer.startswith(CALL):
        if _FORMAT.search(question):
            yield _item(FORMAT, asked, answer, tools)
        yield _item("tools-not_needed" if tools else "no_tools-not_needed", asked, answer, tools)
    elif tools and [role for role, _ in said[2:4]] == ["function", "assistant"]:
        (_, result), (_, told) = said[2:4]
        if told.startswith(CALL):
            return
        shown = _message("assistant", answer), _message("user", f"FUNCTION RESPONSE: {result}")
        yield _item("tools-needed", [*asked, *shown], told, tools)
        if no_tools:
            refused = "I'm sorry, I have no way to do that from here."  # the data has no answer to this
            alone = [_message("system", no_tools), _message("user", question)]
            yield _item("no_tools-needed", alone, refused, [])


def _item(
    circumstance: str, messages: Sequence[Mapping[str, str]], answer: str, tools: Sequence[str]
) -> Item:
    return {"circumstance": circumstance, "messages": messages, "answer": answer, "tools": tools}


def _message(role: str, content: str) -> Mapping[str, str]:
    return {"role": role, "content": content}


@dataclass(slots=True)
class Drawing:
    """Takes the same items whatever order the conversations come in: those with the smallest hashes.

    Attributes:
        read: conversations so far.
        usable: how many could have been taken, by circumstance.
    """

    most: int = PER_CIRCUMSTANCE
    read: int = 0
    usable: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CIRCUMSTANCES, 0))
    _heaps: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: {c: [] for c in CIRCUMSTANCES})

    def add(self, found: Sequence[Item]) -> None:
        """Take in what one conversation can make; it makes one item at most, chosen by its hash."""
        self.read += 1
        words = keywords(ignore_case=True)
        plain = [item for item in found if item["answer"] and not _agentic(item["answer"], words)]
        if not plain:
            return
        whole = json.dumps([item["messages"] for item in plain], sort_keys=True)
        item = plain[_hash(whole) % len(plain)]
        text = json.dumps(item, sort_keys=True)
        circumstance = item["circumstance"]
        entry, heap = (-_hash(text), text), self._heaps[circumstance]
        if entry in heap:
            return
        self.usable[circumstance] += 1
        (heapq.heappush if len(heap) < self.most else heapq.heappushpop)(heap, entry)

    def taken(self) -> list[Item]:
        """The items, circumstance by circumstance."""
        return [json.loads(text) for c in CIRCUMSTANCES for _, text in sorted(self._heaps[c], reverse=True)]

    def counts(self) -> Mapping[str, Any]:
        """What was read, could have been taken, and was."""
        taken = {c: len(heap) for c, heap in self._heaps.items()}
        return {"recipe": RECIPE, "seed": SEED, "read": self.read, "usable": self.usable, "taken": taken}


def _agentic(text: str, words: Any) -> bool:
    signs = anywhere(text, words)
    return signs.react or signs.general


def _hash(text: str) -> int:
    return int.from_bytes(
        hashlib.sha256(f"{SEED}/{text}".encode("utf-8", "surrogatepass")).digest()[:8], "big"
    )
