"""Builds a catalogue's folder from its JSON files, part by part; a build that was cut off goes on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from harness.data import Tell, quiet
from harness.errors import DataError
from tasks.webshop import json_files, rows
from tasks.webshop.index import FORMAT, Postings, merge, offsets_of, write_lines

PART = 10_000
"""Products of a part. Parts are cut by number, so that a build that was cut off gives the same bytes."""

MANIFEST = "manifest.json"
PRODUCTS = "products.jsonl"
GOALS = "goals.jsonl"
FILES = (
    PRODUCTS,
    "products.offsets.npy",
    GOALS,
    "terms.txt",
    "terms.offsets.npy",
    "postings.offsets.npy",
    "postings.docs.npy",
    "postings.counts.npy",
    "lengths.npy",
    "ranks.npy",
)


@dataclass(frozen=True, slots=True)
class CatalogueSources:
    """The three files a catalogue is made of: products, their attributes, people's instructions."""

    products: Path
    attributes: Path
    instructions: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        """All three."""
        return self.products, self.attributes, self.instructions


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a build is.

    Attributes:
        parts: parts that are written.
        read: objects of the products' file that they cover.
        bytes: of products.jsonl.
        sources: sizes and times of the sources; a build goes on only with the same ones.
    """

    sources: str
    parts: int = 0
    read: int = 0
    bytes: int = 0


def build(sources: CatalogueSources, folder: Path, tell: Tell = quiet) -> list[Path]:
    """Build, go on with or leave as it is a catalogue; returns its files, the manifest last.

    Memory: the search terms of one part and of all parts' vocabularies, not the products.

    Raises:
        DataError: a source is damaged or lacks products, or the disk is full; what was built stays.
    """
    try:
        if not _is_built(sources, folder):
            _build(sources, folder, tell)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be written ({error.strerror or error}): make room, then go on with --resume"
        ) from error
    return [*(folder / name for name in FILES), folder / MANIFEST]


def _is_built(sources: CatalogueSources, folder: Path) -> bool:
    """Whether the folder holds the catalogue of just these files, as after a cut while nouns were tagged."""
    manifest = folder / MANIFEST
    return manifest.is_file() and json.loads(manifest.read_bytes())["sources"] == _hashes(sources)


def _build(sources: CatalogueSources, folder: Path, tell: Tell) -> None:
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    _write_parts(sources, folder, work, tell)
    tokens = _finish(folder, sorted(work.glob("part-*.npz")))
    write_whole(folder / MANIFEST, json.dumps(_manifest(sources, folder, tokens), indent=1).encode())
    shutil.rmtree(work)


def _write_parts(sources: CatalogueSources, folder: Path, work: Path, tell: Tell) -> None:
    progress = _progress(work, sources)
    attributes, instructions = json_files.table(sources.attributes), json_files.table(sources.instructions)
    seen = _seen(work, progress.parts)
    products = folder / PRODUCTS
    with products.open("ab") as file:
        file.truncate(progress.bytes)
        file.seek(0, os.SEEK_END)
        raw = _numbered(sources.products, progress.read)
        while found := list(_taken(raw, seen)):
            part = _Part(len(seen) - len(found), attributes, instructions)
            for _, one in found:
                part.add(one)
            part.write(work, progress.parts)
            file.writelines(part.lines)
            file.flush()
            os.fsync(file.fileno())
            progress = replace(progress, parts=progress.parts + 1, read=found[-1][0] + 1, bytes=file.tell())
            write_whole(work / "progress.json", json.dumps(asdict(progress)).encode())
            tell(len(seen), None, f"{len(seen)} products")
    if not seen:
        raise DataError(f"{sources.products} holds no product: get the file again")


def _taken(raw: Iterator[tuple[int, dict[str, Any]]], seen: set[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The next part's products with their places among all objects."""
    return islice((pair for pair in raw if rows.accepted(pair[1], seen)), PART)


def _numbered(path: Path, start: int) -> Iterator[tuple[int, dict[str, Any]]]:
    return islice(enumerate(json_files.items(path)), start, None)


class _Part:
    """A run of products as it is written."""

    def __init__(self, first: int, attributes: Mapping[str, Any], instructions: Mapping[str, Any]) -> None:
        self._doc, self._postings = first, Postings(first)
        self._attributes, self._instructions = attributes, instructions
        self._asins: list[bytes] = []
        self._goals: list[bytes] = []
        self.lines: list[bytes] = []

    def add(self, raw: Mapping[str, Any]) -> None:
        """Take the next product."""
        one = rows.product(raw, self._attributes)
        self.lines.append(msgspec.json.encode(one) + b"\n")
        self._postings.add(one.text())
        self._goals += map(msgspec.json.encode, rows.goals_of(one, self._doc, self._instructions))
        self._asins.append(one.asin.encode())
        self._doc += 1

    def write(self, work: Path, number: int) -> None:
        """Write all but the products, whole or not at all."""
        path = work / f"part-{number:05}.npz"
        sizes = np.array([len(line) for line in self.lines], dtype=np.int64)
        goals = np.frombuffer(b"\n".join(self._goals), dtype=np.uint8)
        with path.with_suffix(".tmp").open("wb") as file:
            arrays: dict[str, Any] = {"asins": np.array(self._asins), "sizes": sizes, "goals": goals}
            arrays |= self._postings.arrays()
            np.savez(file, **arrays)
        path.with_suffix(".tmp").replace(path)


def _finish(folder: Path, parts: list[Path]) -> int:
    """Join the parts; returns the number of tokens in all documents."""
    asins, sizes, goals = [], [], list[rows.ShopGoal]()
    for path in parts:
        with np.load(path) as arrays:
            asins.append(arrays["asins"])
            sizes.append(arrays["sizes"])
            lines = arrays["goals"].tobytes().split(b"\n")
            goals += [msgspec.json.decode(line, type=rows.ShopGoal) for line in lines if line]
    order = np.argsort(np.concatenate(asins), kind="stable")
    ranks = np.empty(len(order), dtype=np.int32)
    ranks[order] = np.arange(len(order), dtype=np.int32)
    np.save(folder / "ranks.npy", ranks)
    ends = np.concatenate([[0], np.cumsum(np.concatenate(sizes))]).astype(np.int64)
    np.save(offsets_of(folder / PRODUCTS), ends)
    write_lines(folder / GOALS, map(msgspec.json.encode, rows.shuffled(goals)))
    return merge(parts, folder)


def _manifest(sources: CatalogueSources, folder: Path, tokens: int) -> dict[str, Any]:
    total = hashlib.sha256()
    for name in FILES:
        total.update(_sha256(folder / name).encode())
    return {
        "format": FORMAT,
        "products": len(np.load(folder / "ranks.npy", mmap_mode="r")),
        "goals": len(np.load(offsets_of(folder / GOALS), mmap_mode="r")) - 1,
        "tokens": tokens,
        "sha256": total.hexdigest(),
        "sizes": {name: (folder / name).stat().st_size for name in FILES},
        "sources": _hashes(sources),
    }


def _hashes(sources: CatalogueSources) -> dict[str, str]:
    return {path.name: _sha256(path) for path in sources.paths}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _progress(work: Path, sources: CatalogueSources) -> Progress:
    """How far an earlier build of the same sources came."""
    state = " ".join(f"{path.stat().st_size}:{path.stat().st_mtime_ns}" for path in sources.paths)
    try:
        found = Progress(**json.loads((work / "progress.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Progress(state)
    return found if found.sources == state else Progress(state)


def _seen(work: Path, parts: int) -> set[str]:
    """The asins of the parts that count; a part without its progress is written anew."""
    seen: set[str] = set()
    for path in sorted(work.glob("part-*.npz")):
        if int(path.stem.removeprefix("part-")) >= parts:
            path.unlink()
            continue
        with np.load(path) as arrays:
            seen.update(asin.decode() for asin in arrays["asins"].tolist())
    return seen


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    path.with_suffix(".tmp").write_bytes(content)
    path.with_suffix(".tmp").replace(path)
