"""An opened catalogue: products, goals and search, read from disk as needed and shared by all episodes."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness.data import cache_folder, writable
from harness.errors import DataError, MissingPart, UsageError
from tasks.webshop import json_files, rows
from tasks.webshop.rows import ShopGoal, ShopProduct

FULL, SMALL = "full", "small"

SMALL_FILES = (
    Path("reconstructed/data/items_shuffle_1000.json"),
    Path("webshop-minimal/webshop_minimal/data/small/items_ins_v2_1000.json"),
    Path("reconstructed/data/items_human_ins_1k_subset.json"),
)
FULL_FILES = tuple(
    Path("full") / name for name in ("items_shuffle.json", "items_ins_v2.json", "items_human_ins.json")
)
"""A fixture's; the real ones are prepared once, into the same folder."""

LARGEST = 64 << 20
"""Bytes of a products' file up to which a catalogue is built when it is opened."""

SPLITS: Mapping[str, tuple[str, int, int]] = {
    "std": (FULL, 0, 200),
    "dev": (FULL, 200, 280),
    "small": (SMALL, 0, 13),
}
"""Which catalogue's goals a split has, from and to which."""

BOUNDS = Path("splits.json")
"""A fixture's own bounds, as it has fewer goals."""


def raw_files(data: Path, name: str) -> tuple[Path, ...]:
    """The three JSON files of a catalogue in a data folder."""
    return tuple(data / path for path in (FULL_FILES if name == FULL else SMALL_FILES))


def goals(data: Path, split: str) -> Sequence[tuple[int, ShopGoal]]:
    """A split's goals with their places in upstream's order.

    Raises:
        DataError: the catalogue has fewer goals than the split needs.
    """
    name, start, end = bounds(data, split)
    found = _prepared_goals(data / name, end) if _prepared(data, name) else _raw_goals(data, name)
    if len(found) < end:
        raise DataError(
            f"the catalogue in {data / name} has {len(found)} goals, {split} needs {end}: "
            "it is not the full one"
        )
    return list(enumerate(found[:end]))[start:]


def bounds(data: Path, split: str) -> tuple[str, int, int]:
    """A split's catalogue and the bounds of its goals."""
    name, start, end = SPLITS[split]
    if (data / BOUNDS).is_file():
        start, end = json_files.table(data / BOUNDS)[split]
    return name, start, end


def _prepared(data: Path, name: str) -> bool:
    return (data / name / "manifest.json").is_file()


def _prepared_goals(folder: Path, end: int) -> Sequence[ShopGoal]:
    import msgspec

    found: list[ShopGoal] = []
    with (folder / "goals.jsonl").open("rb") as file:
        for line in file:
            if len(found) == end:
                break
            found.append(msgspec.json.decode(line, type=ShopGoal))
    return found


def _raw_goals(data: Path, name: str) -> Sequence[ShopGoal]:
    products, _, instructions = raw_files(data, name)
    told, seen = json_files.table(instructions), set[str]()
    wanted = (raw for raw in json_files.items(products) if rows.accepted(raw, seen))
    return rows.shuffled(
        goal
        for doc, raw in enumerate(wanted)
        if raw["asin"] in told
        for goal in rows.goals_of(rows.product(raw, {}), doc, told)
    )


class ShopCatalogue:
    """Products and search of one catalogue.

    Attributes:
        folder: where its files are.
        manifest: counts and hashes of them.
    """

    def __init__(self, folder: Path) -> None:
        from tasks.webshop.index import FORMAT, Lines, SearchIndex

        self.folder = folder
        self.manifest: Mapping[str, Any] = json_files.table(folder / "manifest.json")
        if self.manifest["format"] != FORMAT:
            raise DataError(f"{folder} is of another version: make it again, harness data prepare webshop")
        _check_sizes(folder, self.manifest)
        self._products = Lines(folder / "products.jsonl")
        self.index = SearchIndex(folder, self.manifest["tokens"])
        if not len(self.index) == len(self._products) == self.manifest["products"] > 0:
            raise DataError(
                f"{folder} is damaged: {len(self._products)} products, {len(self.index)} documents to "
                f"search, {self.manifest['products']} in its manifest; make it again"
            )
        self.search = lru_cache(maxsize=4096)(self.index.search)
        self.product = lru_cache(maxsize=4096)(self._product)

    def __len__(self) -> int:
        return len(self._products)

    def where(self, field: str, value: str) -> Sequence[int]:
        """The products whose query or category is just this, in the catalogue's order; reads all of them."""
        return [doc for doc in range(len(self)) if getattr(self._product(doc), field) == value]

    def _product(self, doc: int) -> ShopProduct:
        import msgspec

        return msgspec.json.decode(self._products[doc], type=ShopProduct)


def open_catalogue(data: Path, name: str) -> ShopCatalogue:
    """Open a prepared catalogue, or build a small one in the cache, once for all processes.

    Raises:
        MissingPart: a large catalogue is not prepared.
        DataError: it is damaged.
    """
    if _prepared(data, name):
        return ShopCatalogue(data / name)
    from filelock import FileLock

    from tasks.webshop.build import CatalogueSources, build

    files = raw_files(data, name)
    if files[0].stat().st_size > LARGEST:
        raise MissingPart(
            f"{files[0]} is too large to build from at every start: harness data prepare webshop"
        )
    target = _target(files)
    if (target / "manifest.json").is_file():
        return ShopCatalogue(target)
    writable(target.parent)
    with FileLock(target.with_suffix(".lock"), timeout=600):
        if not (target / "manifest.json").is_file():
            with tempfile.TemporaryDirectory(dir=target.parent) as stage:
                build(CatalogueSources(*files), Path(stage) / "new")
                shutil.rmtree(target, ignore_errors=True)
                (Path(stage) / "new").replace(target)
    return ShopCatalogue(target)


def no_room(data: Path, split: str) -> str | None:
    """Why a small catalogue that is not built yet cannot be put into the cache; None when all is well."""
    try:
        name, _, _ = bounds(data, split)
        files = raw_files(data, name)
        if _prepared(data, name) or not all(path.is_file() for path in files):
            return None
        if files[0].stat().st_size > LARGEST or (_target(files) / "manifest.json").is_file():
            return None
        writable(_target(files).parent)
    except UsageError as error:
        return str(error)
    return None


def _target(files: Sequence[Path]) -> Path:
    """The path of the catalogue that is built from these files."""
    return cache_folder() / "built" / f"webshop-{_key(files)}"


def _key(files: Sequence[Path]) -> str:
    """Name a built catalogue by what it is made of: the files, the code that reads them, its libraries."""
    total = hashlib.sha256("".join(version(name) for name in ("nltk", "regex", "numpy")).encode())
    for path in (*files, *sorted(Path(__file__).parent.glob("*.py"))):
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:16]


def _check_sizes(folder: Path, manifest: Mapping[str, Any]) -> None:
    for name, size in manifest["sizes"].items():
        path = folder / name
        found = path.stat().st_size if path.is_file() else 0
        if found != size:
            raise DataError(f"{path} is damaged ({found} bytes of {size}): make the catalogue again")
