"""Conversations of a run as rows, with where each comes from, and the formats that people train with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from harness.export.conversations import Conversation, Part, conversations
from harness.export.episodes import PRIVATE, Choice, Episode, Run
from harness.models.outside import paired
from harness.storage import plain
from harness.storage.private import OVERFLOW

NOTHING = "have nothing that the model generated"
AGAIN = "conversations were written before"


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation of an episode.

    Attributes:
        source: where it comes from and what it is worth; no value is nested.
    """

    conversation: Conversation
    source: dict[str, Any]


def rows(run: Run, choice: Choice, *, training: bool) -> Iterator[Row]:
    """The conversations of the chosen episodes, in order.

    Args:
        run: opened.
        choice: which episodes.
        training: leave out what cannot be trained on; else every episode has at least one row, which has no
            messages where no texts are kept.
    """
    seen: set[bytes] = set()
    for episode in run.episodes(choice):
        found = [] if episode.private else conversations(episode.calls)
        if training:
            found = _trainable(run, episode, found)
        elif not found:
            found = [Conversation(())]
        source = source_of(run, episode)
        for number, conversation in enumerate(found):
            if choice.dedup:
                if (digest := _digest(conversation)) in seen:
                    run.tally.notes[AGAIN] += 1
                    continue
                seen.add(digest)
            run.tally.rows += 1
            numbers = {"conversation": number, "conversations": len(found), "raw": conversation.raw}
            yield Row(conversation, source | numbers)


def source_of(run: Run, episode: Episode) -> dict[str, Any]:
    """Where an episode comes from and what it is worth; of a private one its id, and what its note tells."""
    attempt = episode.attempt
    kept = not episode.private  # of a private note only what a server said is left out
    return {
        **run.provenance(attempt),
        "reward": episode.reward,
        "metrics": plain.column(attempt.metrics),
        "note": attempt.note if kept or not attempt.note.startswith(OVERFLOW) else OVERFLOW,
        "answer": attempt.answer if kept else "",
        "target": attempt.target if kept else "",
    }


def _trainable(run: Run, episode: Episode, found: list[Conversation]) -> list[Conversation]:
    kept = [conversation for conversation in found if conversation.trains]
    if not kept:
        run.tally.episodes -= 1
        run.tally.left_out[PRIVATE if episode.private else NOTHING] += 1
    return kept


def _digest(conversation: Conversation) -> bytes:
    texts = [(part.role, part.content, part.loss) for part in conversation.parts]
    return blake2b(repr(texts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _agentinstruct(parts: Sequence[Part]) -> dict[str, Any]:
    turns = [
        {
            "from": "human" if part.role == "function" else HUMAN.get(part.role, part.role),
            "loss": part.loss if part.role == "assistant" else None,
            "value": text,
        }
        for part, text in _texts(parts)
    ]
    return {"conversations": turns}


def _sharegpt(parts: Sequence[Part]) -> dict[str, Any]:
    turns = [
        {"from": HUMAN.get(part.role, part.role), "value": text, "train": part.loss}
        for part, text in _texts(parts)
    ]
    return {"conversations": turns}


def _openai(parts: Sequence[Part]) -> dict[str, Any]:
    turns: list[dict[str, Any]] = []
    for part, text in _texts(parts):
        role = "user" if part.role == "function" else part.role  # OpenAI's tool needs the id of a call
        turns.append({"role": role, "content": text})
        if part.role == "assistant":
            turns[-1]["weight"] = int(part.loss)
    return {"messages": turns}


def _texts(parts: Sequence[Part]) -> Iterator[tuple[Part, str]]:
    return ((part, paired(part.content)) for part in parts)


HUMAN: Mapping[str, str] = {"user": "human", "assistant": "gpt", "function": "observation"}
"""ShareGPT's names of roles."""

TRAINING: Mapping[str, Callable[[Sequence[Part]], dict[str, Any]]] = {
    "agentinstruct": _agentinstruct,
    "sharegpt": _sharegpt,
    "openai": _openai,
}
"""The formats for training, by name: each makes a line's conversation."""


def line(form: str, row: Row) -> dict[str, Any]:
    """A row in a format for training.

    What the format has no field for is under `harness`: the row's source, and lists with an entry for
    each message. Every line has the same keys with values of the same types, so that loaders can tell them.
    """
    source, parts = row.source, row.conversation.parts
    lists = {
        "rewritten": [part.rewritten for part in parts],
        "said": [paired(part.said) for part in parts],
        "thought": [paired(part.thought) for part in parts],
        "prefix": [paired(part.prefix) for part in parts],
        "finish": [part.finish for part in parts],
    }
    name = f"{source['task']}/{source['sample']}#{source['repeat']}.{source['conversation']}"
    return {"id": name, **TRAINING[form](parts), "harness": source | lists}
