"""Writes the conversations of a run to a Parquet file, a group of rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.errors import MissingPart
from harness.export.conversations import Part
from harness.export.rows import Row
from harness.models.outside import paired

GROUP_ROWS, GROUP_CHARACTERS = 2_000, 1 << 24
"""A group ends with the first of the two."""

_TEXTS = (
    "run", "model", "served", "model_sha", "profile", "decoding", "reasoning", "task", "split", "template",
    "template_sha", "judge", "commit", "sample", "outcome", "metrics", "note", "answer", "target",
)  # fmt: skip
_NUMBERS = ("version", "repeat", "conversation", "conversations")
_PART_TEXTS = ("role", "content", "said", "thought", "prefix", "finish")
_PART_FLAGS = ("loss", "rewritten")


def write(rows: Iterable[Row], out: Path) -> None:
    """Write rows as they come; memory holds one group.

    Raises:
        MissingPart: pyarrow is not installed.
    """
    try:
        pa: Any = import_module("pyarrow")
        parquet: Any = import_module("pyarrow.parquet")
    except ImportError as error:
        raise MissingPart(
            "Parquet needs pyarrow: pip install 'agenttuning-harness[hf]', or give another --format"
        ) from error

    part = pa.struct([(n, pa.string()) for n in _PART_TEXTS] + [(n, pa.bool_()) for n in _PART_FLAGS])
    schema = pa.schema(
        [(n, pa.string()) for n in _TEXTS]
        + [(n, pa.int64()) for n in _NUMBERS]
        + [("reward", pa.float64()), ("raw", pa.bool_()), ("messages", pa.list_(part))]
    )
    with parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        for group in _groups(rows):
            writer.write_table(_table(pa, schema, group))


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    characters = 0
    for row in rows:
        group.append(row)
        characters += sum(len(part.content) + len(part.thought) for part in row.conversation.parts)
        if len(group) >= GROUP_ROWS or characters >= GROUP_CHARACTERS:
            yield group
            group, characters = [], 0
    if group:
        yield group


def _table(pa: Any, schema: Any, group: Sequence[Row]) -> Any:
    """Columns of a group; its messages lie in one flat array each, which Arrow builds fastest."""
    parts: list[Part] = []
    starts = [0]
    for row in group:
        parts += row.conversation.parts
        starts.append(len(parts))
    kind = schema.field("messages").type
    texts = [pa.array([paired(getattr(part, n)) for part in parts], pa.string()) for n in _PART_TEXTS]
    flags = [pa.array([getattr(part, n) for part in parts], pa.bool_()) for n in _PART_FLAGS]
    messages = pa.StructArray.from_arrays([*texts, *flags], fields=list(kind.value_type))
    lists = pa.ListArray.from_arrays(pa.array(starts, pa.int32()), messages, type=kind)
    plain = [
        pa.array([row.source[field.name] for row in group], field.type)
        for field in schema
        if field.name != "messages"
    ]
    return pa.Table.from_arrays([*plain, lists], schema=schema)
