"""Makes the task's files from what a user has: the steps and ranks of the published image, or a checkout."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness.data import Tell, checkout_literals, write_literals
from harness.errors import DataError, EnvironmentFault, MissingPart
from harness.worker import Launch, Worker
from tasks.mind2web import released, rows
from tasks.mind2web.prompts import EXEMPLARS, GENERATION, QUESTION

SCORE_FILE = "scores_all_data.pkl"
SPLITS = {"std": "data_std", "dev": "data_dev"}
PROBLEMS = 10
"""Problems of a split that are listed."""

MEMORY_BASE_MB, MEMORY_FACTOR = 512, 24
"""Memory for reading the score file: the most that a dict of short texts takes per byte of its pickle."""

READ_S = 3600.0
LEVEL = 12
"""Of zstd: a page shrinks to about a tenth."""


def prepare(source: Path, target: Path, tell: Tell) -> list[Path]:
    """Write whatever `source` has the material for.

    Args:
        source: a folder with `data_std`, `scores_all_data.pkl` and perhaps `data_dev`, copied out of the
            image, or a checkout of AgentTuning, or both in one.
        target: where the files go; a split that a call before this one finished is not made again.
        tell: called with a line for each step.

    Raises:
        MissingPart: the folder has neither.
        DataError: a file is not of the known form, the score file lacks a step, or a page an element.
    """
    written: list[Path] = []
    if (source / "AgentBench.old").is_dir():
        written += _prompts(source, target)
        tell(len(written), None, "prompts")
    splits = {name: source / folder for name, folder in SPLITS.items() if (source / folder).is_dir()}
    if splits:
        written += _splits(splits, source / SCORE_FILE, target, tell)
    if not written:
        raise MissingPart(
            f"{source} holds neither {' and '.join(SPLITS.values())} with {SCORE_FILE} beside them "
            "nor a checkout of AgentTuning: tasks/mind2web/README.md says how to get them"
        )
    return written


def _prompts(checkout: Path, target: Path) -> list[Path]:
    texts = checkout_literals(checkout, [*GENERATION, *QUESTION])
    place = target / EXEMPLARS
    if not (checkout / EXEMPLARS).is_file():
        raise DataError(f"{checkout / EXEMPLARS} is missing: is the checkout complete?")
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(checkout / EXEMPLARS, place)
    return [write_literals(target / "prompts.json", texts), place]


def _splits(splits: Mapping[str, Path], scores: Path, target: Path, tell: Tell) -> list[Path]:
    if not scores.is_file():
        raise MissingPart(f"{scores} is missing: copy it out of the image too (tasks/mind2web/README.md)")
    target.mkdir(parents=True, exist_ok=True)
    score_digest = _sha256(scores)
    made: list[Path] = []
    with TemporaryDirectory(prefix="harness-mind2web-") as work:
        table = Path(work) / "ranks.sqlite"
        for split, folder in splits.items():
            path = rows.split_file(target, split)
            sources = _sources(folder)
            known = {"score_file": score_digest, "sources": json.dumps(sources)}
            if not _is_whole(path, known):
                if not table.exists():
                    convert(scores, table)
                with closing(sqlite3.connect(table)) as ranks:
                    _write(path, ReleasedSplit(folder, sources, known), ranks, tell)
            made.append(path)
    return made


def convert(scores: Path, table: Path, memory_mb: int = 0) -> int:
    """Read the score file in a process of its own with little memory; returns its number of steps.

    Args:
        scores: the pickle.
        table: a new SQLite file with its ranks by step.
        memory_mb: what reading may take; 0 goes by the file's size.

    Raises:
        DataError: it is no score file, or takes more memory, in one line.
    """
    cap = memory_mb or MEMORY_BASE_MB + MEMORY_FACTOR * (scores.stat().st_size >> 20)

    async def read() -> int:
        env = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        worker = Worker(Launch("tasks.mind2web.score_file", env=env, memory_mb=cap + 512.0))
        try:
            await worker.start()
            return await worker.call("convert", str(scores), str(table), cap, timeout=READ_S)
        finally:
            await worker.close()

    try:
        return asyncio.run(read())
    except EnvironmentFault as error:
        reason = str(error).strip().splitlines()[-1].rpartition("ScoreFileError: ")[2]
        raise DataError(f"{scores} is not the score file: {reason}") from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class ReleasedSplit:
    """The files of a split.

    Attributes:
        sources: their names in order, with their SHA-256.
        known: what tells a file made of them from others.
    """

    folder: Path
    sources: Mapping[str, str]
    known: Mapping[str, str]


def _sources(folder: Path) -> dict[str, str]:
    found = {path.name: _sha256(path) for path in sorted(folder.glob("*.json"))}
    if not found:
        raise MissingPart(f"{folder} holds no *.json: copy the folder out of the image again")
    return found


def _is_whole(path: Path, known: Mapping[str, str]) -> bool:
    """Whether a file was made from these very sources; it gets its name only when it is finished."""
    try:
        return path.is_file() and known.items() <= rows.meta(path).items()
    except DataError:
        return False


def _write(path: Path, split: ReleasedSplit, ranks: sqlite3.Connection, tell: Tell) -> None:
    """Write one split; the file gets its name when every step is in it."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    try:
        _fill(part, split, ranks, tell)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _fill(part: Path, split: ReleasedSplit, ranks: sqlite3.Connection, tell: Tell) -> None:
    problems: list[str] = []
    with closing(sqlite3.connect(part)) as db, db:
        for statement in rows.TABLES:
            db.execute(statement)
        ids = list(_filled(db, split, ranks, problems, tell))
        digest = sha256("".join(f"{id}\n" for id in ids).encode()).hexdigest()
        facts = {"format": rows.FORMAT, "steps": str(len(ids)), "ids": digest, **split.known}
        db.executemany("INSERT INTO meta VALUES(?, ?)", facts.items())
    twice = next((id for id, count in Counter(ids).items() if count > 1), None)
    if twice:
        problems.append(f"step {twice} is there twice")
    if problems:
        raise DataError("\n  ".join([f"{split.folder} cannot be used:", *problems]))


def _filled(
    db: sqlite3.Connection, split: ReleasedSplit, ranks: sqlite3.Connection, problems: list[str], tell: Tell
) -> Iterator[str]:
    """Write steps and pages; names in the score file of those that are written."""
    import zstandard

    squeeze = zstandard.ZstdCompressor(level=LEVEL)
    for n, step in enumerate(released.steps(split.folder, split.sources)):
        try:
            row = released.row(n, step, ranks)
        except DataError as error:
            problems.append(str(error))
            if len(problems) == PROBLEMS:
                return
            continue
        db.execute(f"INSERT INTO step VALUES({','.join('?' * len(rows.COLUMNS))})", _columns(row))
        db.execute("INSERT INTO page VALUES(?, ?)", (n, squeeze.compress(step.action.cleaned_html.encode())))
        tell(n + 1, None, f"{split.folder.name} {row.id}")
        yield step.score_id


def _columns(row: rows.Mind2WebRow) -> tuple[Any, ...]:
    values = (getattr(row, name) for name in rows.COLUMNS)
    return tuple(
        json.dumps(value, ensure_ascii=False) if isinstance(value, tuple) else value for value in values
    )
