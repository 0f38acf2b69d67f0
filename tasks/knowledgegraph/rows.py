"""Reads the questions, and the vocabulary of Freebase's relations."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.types import Sample

OLD = Path("AgentTuning/AgentBench.old")
QUESTIONS = OLD / "data/knowledgegraph"
ONTOLOGY = OLD / "src/tasks/knowledgegraph/ontology"
SPLITS = ("std", "dev")

PRODUCERS = ("get_neighbors", "intersection", "argmax", "argmin", "count")
"""The tools whose result is a variable."""

NUMERIC = frozenset({"type.int", "type.float", "type.datetime"})
UNLISTED = {"topic_server.population_number": "type.int"}
"""An attribute that gold programs use and that neither of the files names."""

_CALL = re.compile(r"(\w+)\(([^()]*)\)")


@dataclass(frozen=True, slots=True)
class GoldCall:
    """One call of a gold program; arguments are ids, relations and variables (`#0`)."""

    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Which relations and attributes the tools show.

    Attributes:
        classes: the schema's types, which are topics of the graph too.
        ranges: the type of a relation's objects.
    """

    relations: frozenset[str]
    attributes: frozenset[str]
    classes: frozenset[str]
    ranges: Mapping[str, str]


def samples(data: Path, split: str) -> list[Sample]:
    """The questions of a split in their order; ids are `<split>/<index>`.

    Raises:
        DataError: the file cannot be read, or a question is of another form.
    """
    path = data / QUESTIONS / f"{split}.json"
    content = _json(path)
    if not isinstance(content, list):
        raise DataError(f"{path} is no list of questions; get it again: harness data pull knowledgegraph")
    return [_sample(f"{split}/{index}", entry, path) for index, entry in enumerate(content)]


def _sample(name: str, entry: Any, path: Path) -> Sample:
    try:
        calls = tuple(_call(text) for text in entry["actions"])
        content = {
            "question": str(entry["question"]),
            "entities": {str(surface): str(ident) for surface, ident in entry["entities"].items()},
            "calls": calls,
            "answers": tuple(str(answer["answer_argument"]) for answer in entry["answer"]),
        }
        labels = {"source": str(entry["source"]), "last_tool": calls[-1].name}
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise DataError(f"{path}: {name} is no question of this task ({error!r}); get it again") from error
    return Sample(name, content, labels)


def _call(text: str) -> GoldCall:
    match = _CALL.fullmatch(text)
    if match is None:
        raise ValueError(f"no call: {text[:80]}")
    return GoldCall(match[1], tuple(part.strip() for part in match[2].split(",")))


def vocabulary(data: Path, source: str) -> Vocabulary:
    """Read the vocabulary.

    Args:
        data: the task's data folder.
        source: `vocab`, the file that upstream filters by, or `roles`: every relation of Freebase's schema.

    Raises:
        DataError: a file cannot be read.
    """
    roles = _roles(data / ONTOLOGY / "fb_roles")
    ranges = {relation: kind for _, relation, kind in roles}
    classes = frozenset(name for domain, _, kind in roles for name in (domain, kind))
    listed = _json(data / ONTOLOGY / "vocab.json")
    try:
        relations, attributes = frozenset(listed["relations"]), frozenset(listed["attributes"])
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{data / ONTOLOGY / 'vocab.json'} is no vocabulary ({error!r}); get it again"
        ) from error
    if source == "roles":
        ranges |= UNLISTED
        attributes = frozenset(name for name, kind in ranges.items() if kind in NUMERIC)
        relations = frozenset(ranges) - attributes
    return Vocabulary(relations, attributes, classes, ranges)


def _roles(path: Path) -> list[tuple[str, str, str]]:
    """The lines `domain relation range` of Freebase's schema; one line of the file is broken."""
    try:
        fields = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; `harness doctor` says how to get it") from error
    return [(parts[0], parts[1], parts[2]) for parts in fields if len(parts) == 3]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: {error}; `harness doctor` says how to get it") from error


def known_edges(questions: Sequence[Sample], most: int) -> list[tuple[str, str]]:
    """Up to `most` (entity, relation) pairs that Freebase must have, from gold programs."""
    found = [
        (call.arguments[0], call.arguments[1])
        for sample in questions
        for call in sample.data["calls"]
        if call.name == "get_neighbors" and call.arguments[0].startswith(("m.", "g."))
    ]
    return list(dict.fromkeys(found))[:most]
