"""Makes the task's files from what a user has: Hendrycks' archive, an AgentTuning checkout, or the hub."""

from __future__ import annotations

import csv
import shutil
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness.data import Tell, extract_literals, write_literals
from harness.errors import DataError
from tasks._shared import hub
from tasks.mmlu.prompts import AFTER, BEFORE
from tasks.mmlu.rows import LETTERS
from tasks.mmlu.subjects import SUBJECTS

HUB = "cais/mmlu"
REVISION = "c30699e8356da336a370243923dbaf21066bb9fe"
SCRIPT = Path("eval_general/eval_mmlu_hf.py")
SPLITS = ("dev", "test")


def prepare(source: Path, target: Path, tell: Tell) -> list[Path]:
    """Write what `source` gives.

    Args:
        source: the word `hub`, Hendrycks' data.tar, the folder it unpacks to (with `dev/` and `test/`), or an
            AgentTuning checkout for prompts.json.
        target: where the files go.
        tell: called with a line for each subject.

    Raises:
        DataError: `source` is none of these.
        MissingPart: the extra `hf` is not installed, or the hub does not answer.
    """
    if str(source) == "hub":
        return from_hub(target, tell)
    if source.is_file():
        return from_tar(source, target, tell)
    if (source / SCRIPT).is_file():
        tell(1, 1, "prompts.json")
        return [write_literals(target / "prompts.json", extract_literals(source / SCRIPT, [BEFORE, AFTER]))]
    if all((source / split).is_dir() for split in SPLITS):
        return from_archive(source, target, tell)
    raise DataError(
        f"{source} is neither an AgentTuning checkout nor data.tar or its folder (dev/, test/), nor `hub`"
    )


def from_archive(source: Path, target: Path, tell: Tell) -> list[Path]:
    """Copy the questions of Hendrycks' data.tar in one CSV dialect, so that hashes can be compared."""
    written: list[Path] = []
    for split in SPLITS:
        for subject in SUBJECTS:
            path = source / split / f"{subject}_{split}.csv"
            if not path.is_file():
                raise DataError(f"{path} is missing: the archive has 57 subjects")
            with path.open(newline="", encoding="utf-8") as file:
                written.append(write_rows(target, split, subject, csv.reader(file)))
            tell(len(written), len(SPLITS) * len(SUBJECTS), f"{split} {subject}")
    licence = source / "LICENSE"
    if licence.is_file():
        written.append(Path(shutil.copy(licence, target / "LICENSE")))
    return written


def from_tar(source: Path, target: Path, tell: Tell) -> list[Path]:
    """Read the questions out of the archive as it is published.

    Raises:
        DataError: it is no whole archive, or not this one.
    """
    names = {f"{subject}_{split}.csv" for split in SPLITS for subject in SUBJECTS} | {"LICENSE"}
    with TemporaryDirectory(dir=target) as folder:
        try:
            with tarfile.open(source) as archive:
                wanted = [member for member in archive if Path(member.name).name in names]
                archive.extractall(folder, wanted, filter="data")
        except (OSError, EOFError, tarfile.TarError) as error:
            raise DataError(f"{source} is not a whole archive, get it again: {error}") from error
        top = next((path.parent for path in Path(folder).rglob("dev") if path.is_dir()), Path(folder))
        return from_archive(top, target, tell)


def from_hub(target: Path, tell: Tell) -> list[Path]:
    """Download the questions at a pinned revision."""
    written: list[Path] = []
    for split in SPLITS:
        rows = hub.rows(HUB, "all", split, REVISION)
        for subject, chosen in by_subject(rows).items():
            written.append(write_rows(target, split, subject, chosen))
            tell(len(written), len(SPLITS) * len(SUBJECTS), f"{split} {subject}")
    return written


def by_subject(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Sequence[str]]]:
    """Group the hub's rows {question, subject, choices, answer: 0..3} as the archive has them."""
    groups: dict[str, list[Sequence[str]]] = {}
    for row in rows:
        line = [row["question"], *row["choices"], LETTERS[row["answer"]]]
        groups.setdefault(row["subject"], []).append(line)
    return groups


def write_rows(target: Path, split: str, subject: str, rows: Iterable[Sequence[str]]) -> Path:
    """Write one subject: no header, minimal quoting, line feeds."""
    path = target / "data" / split / f"{subject}_{split}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return path
