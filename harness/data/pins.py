"""Reads a task's `data.toml`: which files it needs, where each comes from, and its hash."""

from __future__ import annotations

import importlib.util
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, cast

from harness.catalog import registry
from harness.data.origins import Origin, command, of_url, origin
from harness.errors import DataError

Kind = Literal["url", "derived", "manual"]
KINDS: tuple[Kind, ...] = ("url", "derived", "manual")
CORE = "core"
"""Files several tasks use; listed in this package's own `core.toml`."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One pinned file.

    Attributes:
        path: relative to the task's folder of the mirror.
        kind: `url` is fetched, `derived` is made by prepare.py, `manual` is brought by the user.
        source: the files it is made from, each `owner/name@commit:path` in a checkout or a plain path.
        optional: the task runs without it.
        splits: the splits that read it; none named means all of them.
        folder: its folder of the mirror, where that is not the folder of the whole list.
    """

    path: str
    kind: Kind
    url: str = ""
    source: tuple[str, ...] = ()
    instructions: str = ""
    sha256: str = ""
    size: int = 0
    licence: str = ""
    optional: bool = False
    splits: tuple[str, ...] = ()
    folder: str = ""

    @property
    def name(self) -> str:
        """Its path, after its folder where that is its own."""
        return f"{self.folder}/{self.path}" if self.folder else self.path

    def fix(self, task: str) -> str:
        """How a user gets this file, in one line."""
        if self.kind == "url":
            return f"harness data pull {task}"
        cloned = "" if self.instructions else command(task, self.origins)
        return self.instructions or cloned or f"harness data prepare {task} --from PATH"

    @property
    def origins(self) -> tuple[Origin, ...]:
        """What a user may have that holds it, or that it is made from."""
        if self.kind == "url":
            return (of_url(self.url),)
        return tuple(map(origin, self.source))


@dataclass(frozen=True, slots=True)
class Pins:
    """A task's data: the mirror folder's name and its files."""

    task: str
    folder: str
    files: tuple[Pin, ...] = field(default=())

    @property
    def required(self) -> tuple[Pin, ...]:
        """Files without which the task does not run."""
        return tuple(pin for pin in self.files if not pin.optional)

    def of(self, split: str | None) -> Pins:
        """Only the files that a split reads; None for those of every split."""
        if split is None:
            return self
        return replace(self, files=tuple(p for p in self.files if not p.splits or split in p.splits))

    def place(self, folder: Path, pin: Pin) -> Path:
        """The path of a file; `folder` is the list's own, in a mirror or in the cache."""
        return (folder.parent / pin.folder if pin.folder else folder) / pin.path


def pins(task: str, splits: Sequence[str] | None = None) -> Pins:
    """Read the pins of a task, or of `core`; a task without a `data.toml` has no files.

    A question set has the files it is made of.

    Args:
        task: its name, or `core`.
        splits: the splits the task has, where the caller knows them: a file for any other is refused.

    Raises:
        DataError: the file is not of the documented form, or names a split that the task does not have.
    """
    if task != CORE and (own := registry.question_set(task)) is not None:
        fix = f"put it beside {own.path}, or correct `data` and `sha256` there"
        questions = Pin(own.form.data, "manual", instructions=fix, sha256=own.form.sha256)
        return Pins(task, own.path.parent.name, (Pin(own.path.name, "manual"), questions))
    path = Path(__file__).with_name("core.toml") if task == CORE else task_folder(task) / "data.toml"
    if not path.is_file():
        return Pins(task, task)
    try:
        text = path.read_text(encoding="utf-8")
    except ValueError as error:
        raise DataError(f"{path} is not a list of pinned files, correct it: {error!r}") from error
    wanted = parse(text, task, str(path))
    if splits is not None:
        _check_splits(path, wanted, splits)
    return wanted


def parse(text: str, task: str, where: str) -> Pins:
    """Read the text of a `data.toml`; `where` names it in messages.

    Raises:
        DataError: it is not of the documented form.
    """
    try:
        table: dict[str, Any] = tomllib.loads(text)
        found = tuple(_pin(entry) for entry in cast("list[Any]", table.get("file", [])))
        return Pins(task, str(table["folder"]), found)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{where} is not a list of pinned files, correct it: {error!r}") from error


def _check_splits(path: Path, wanted: Pins, splits: Sequence[str]) -> None:
    for pin in wanted.files:
        if unknown := [name for name in pin.splits if name not in splits]:
            known = ", ".join(splits)
            raise DataError(f"{path}: {pin.path} is for split {unknown[0]!r}; {wanted.task} has {known}")


def task_folder(task: str) -> Path:
    """The folder of a task's package, found without importing it."""
    spec = importlib.util.find_spec(registry.package(task))
    folders = list(spec.submodule_search_locations or ()) if spec else []
    if folders:
        return Path(folders[0])
    if spec is None or spec.origin is None:
        raise DataError(f"task {task}: its package {registry.package(task)} is not there, or has no folder")
    return Path(spec.origin).parent  # one module, in no package


def _pin(entry: Any) -> Pin:
    if not isinstance(entry, dict):
        raise TypeError("every `file` must be a table")
    known = {f.name for f in fields(Pin)}
    values = {
        "source" if key == "from" else key: value for key, value in cast("dict[str, Any]", entry).items()
    }
    if unknown := set(values) - known:
        raise ValueError(f"unknown keys {sorted(unknown)}")
    if values.get("kind") not in KINDS:
        raise ValueError(f"{values.get('path')}: kind must be one of {', '.join(KINDS)}")
    if values["kind"] == "url" and not values.get("url"):
        raise ValueError(f"{values.get('path')}: kind is url, but it has no url")
    path = Path(values["path"])
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{path} leaves the data folder")
    folder = values.get("folder", "")
    if folder and (folder in (".", "..") or Path(folder).name != folder):
        raise ValueError(f"{path}: folder {folder!r} must be the name of one folder of the mirror")
    for key in ("source", "splits"):
        values[key] = _names(path, key, values.get(key, []))
    return Pin(**values)


def _names(path: Path, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in cast("list[Any]", value)):
        raise ValueError(f"{path}: {'from' if key == 'source' else key} must be a list of strings")
    return tuple(cast("list[str]", value))
