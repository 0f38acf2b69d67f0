"""The benchmark's problems, read from AgentBench's JSON files with the scripts they name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from harness.errors import DataError

TOP = Path("AgentTuning/AgentBench.old/data/os_interaction")
GRADERS = ("integer-match", "string-match", "size-match")
SPLITS = {"std": tuple("1234567"), "dev": ("dev",)}


@dataclass(frozen=True, slots=True)
class OsScript:
    """A script to run inside, or, where `grader` is set, one of the generic graders.

    Attributes:
        language: `bash` or `python`.
    """

    language: str
    code: str
    grader: str = ""


_DRAWN = "urandom"
_BY_TIME = "4/N225/0"
"""Asks for the newest of a hundred files that are written within a few ticks of the clock."""


@dataclass(frozen=True, slots=True)
class OsProblem:
    """One problem.

    Attributes:
        init: run before the episode, each on its own.
        start: run in the agent's shell before its first turn.
        match: the answer expected, None when scripts decide.
        checks: scripts that must all succeed; None means the example.
        example: the reference solution.
    """

    id: str
    description: str
    init: tuple[OsScript, ...] = ()
    start: str = ""
    match: str | None = None
    checks: tuple[OsScript | None, ...] = ()
    example: OsScript | None = None

    @property
    def repeatable(self) -> bool:
        """Whether its first state is the same in every system: it neither draws bytes nor sorts by time."""
        return self.id != _BY_TIME and not any(_DRAWN in script for script in self._made_by)

    @property
    def _made_by(self) -> tuple[str, ...]:
        return (*(script.code for script in self.init), self.start)


def load(folder: Path, split: str) -> list[OsProblem]:
    """Read a split in its canonical order: directories, then files by name, then positions.

    Args:
        folder: the task's data folder, laid out as the mirror's.
        split: `std` or `dev`.

    Raises:
        DataError: a file is missing or not as expected, or a script that a problem names is absent.
    """
    scripts = _read(folder / "scripts.json")
    problems: list[OsProblem] = []
    for directory in SPLITS[split]:
        data = folder / TOP / "data"
        files = [data / "dev.json"] if directory == "dev" else sorted((data / directory).glob("*.json"))
        for file in files:
            content = _read(file)
            items = content if isinstance(content, list) else [content]
            for index, item in enumerate(items):
                source = _Source(f"{directory}/{file.stem}/{index}", directory, scripts)
                problems.append(source.problem(item))
    if not problems:
        raise DataError(
            f"no problems of split {split} under {folder / TOP}; `harness doctor` says how to get them"
        )
    return problems


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; `harness doctor` says how to get it") from error


class _Source:
    """Turns one JSON object into a problem."""

    def __init__(self, name: str, directory: str, scripts: Mapping[str, str]) -> None:
        self._name = name
        self._directory = directory
        self._scripts = scripts

    def problem(self, item: Mapping[str, Any]) -> OsProblem:
        # One problem's `create` is a list by mistake; upstream finds no key in it and makes nothing.
        create = item.get("create")
        init = create.get("init") if isinstance(create, Mapping) else None
        evaluation = item["evaluation"]
        example = evaluation.get("example")
        checks = evaluation.get("check", [])
        return OsProblem(
            self._name,
            item["description"],
            tuple(self._script(entry) for entry in _listed(init)),
            item.get("start", ""),
            evaluation.get("match"),
            tuple(
                None if entry is None else self._script(entry) for entry in _listed(checks, keep_none=True)
            ),
            None if example is None else self._script(example),
        )

    def _script(self, entry: str | Mapping[str, str]) -> OsScript:
        if isinstance(entry, str):
            return OsScript("bash", entry)
        language = entry.get("language", "bash")
        if language not in ("bash", "python"):
            raise DataError(f"{self._name}: scripts in {language} are not run")
        if "code" in entry:
            return OsScript(language, entry["code"])
        file = PurePosixPath(entry["file"])
        if file.suffix == ".py" and file.stem in GRADERS:
            return OsScript("python", "", file.stem)
        path = f"scripts/{self._directory}/{file}"
        if path not in self._scripts:
            raise DataError(f"{self._name}: its script {path} is absent from scripts.json")
        return OsScript(language, self._scripts[path])


def _listed(value: Any, *, keep_none: bool = False) -> Sequence[Any]:
    if value is None:
        return []
    entries = value if isinstance(value, list) else [value]
    return entries if keep_none else [entry for entry in entries if entry is not None]
