"""A benchmark without Python: questions in a JSONL file, and a TOML file that says how to ask them."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from harness.authoring.comparisons import RULES, Comparison, Read, excerpt, value
from harness.authoring.jsonl import jsonl
from harness.authoring.single_turn import SingleTurn
from harness.errors import DataError
from harness.types import Ask, Context, Message, Observation, Reply, Sample, Score, TaskConfig, TaskSpec

HELP = "docs/adding-a-task.md shows the form"
_ID = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_FIELD = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Form:
    """What the TOML file says.

    Attributes:
        id: the task's name; in lower case.
        title: one line for readers of a report.
        data: the JSONL file, relative to the TOML file's folder.
        question: the text to ask; `{name}` stands for a field of the question's line. A list is written one
            entry a line, with the choices before them when there are any.
        answer: the field that holds the right answer: a text, a number, or a list of texts that all count.
        compare: how a reply is compared with it.
        read: the part of a reply that is read.
        after: where a reply has this text, only what follows its last one is read.
        choices: the texts one of which is the answer; for `compare = "choice"`.
        system: a system text.
        sha256: of the JSONL file; another file is then refused.
    """

    id: str
    title: str
    data: str
    question: str
    answer: str
    compare: Comparison = "exact"
    read: Read = "all"
    after: str = ""
    choices: tuple[str, ...] = ()
    system: str = ""
    split: str = "test"
    max_new_tokens: int = 64
    metric: str = "accuracy"
    version: int = 1
    sha256: str = ""


class QuestionSet(SingleTurn):
    """The questions of one TOML file.

    Attributes:
        path: of the TOML file.
        form: what it says.
    """

    def __init__(self, path: Path, form: Form) -> None:
        self.path, self.form = path, form
        self.notes = (form.title,)
        self.spec = TaskSpec(
            name=form.id,
            version=form.version,
            suite="general",
            metric=form.metric,
            splits=(form.split,),
            ceiling={("paper", "mirror"): 100.0, ("fixed", "mirror"): 100.0},
        )

    @property
    def data(self) -> Path:
        """The JSONL file."""
        return self.path.parent / self.form.data

    def digests(self) -> Mapping[str, str]:
        """The sha256 of both files that are there, by file name."""
        return {path.name: _sha256(path) for path in (self.path, self.data) if path.is_file()}

    def samples(self, cfg: TaskConfig) -> Sequence[Sample]:
        """All questions, in the order of the file.

        Raises:
            DataError: a line is damaged or lacks a field, or there is no question.
        """
        fix = f"correct it, or what {self.path.name} says of it"
        samples = [
            Sample(f"{cfg.split}/{place}", self._read(row, f"{self.data}: question {place + 1}"))
            for place, row in enumerate(jsonl(self.data, fix=fix))
        ]
        if not samples:
            raise DataError(f"{self.data} holds no question; {fix}")
        return samples

    def _read(self, row: Mapping[str, Any], where: str) -> dict[str, Any]:
        """The question as sent, and its right answers.

        Raises:
            DataError: a field is missing, or a reply with the right answer would not be taken for right.
        """
        form = self.form
        for name in (*_FIELD.findall(form.question), form.answer):
            if name not in row:
                raise DataError(
                    f"{where} has no field {name!r}, only {', '.join(row)}; "
                    f"correct the line, or `question` and `answer` in {self.path.name}"
                )
        golds = _texts(row[form.answer])
        if not golds or any(self._value(self._reply(gold), [gold]) < 1 for gold in golds):
            raise DataError(
                f"{where}: the answer {str(row[form.answer])[:80]!r} cannot be compared by {form.compare!r}; "
                f"correct the line, or `compare`, `read` or `choices` in {self.path.name}"
            )
        asked = _FIELD.sub(lambda found: _shown(row[found[1]], form.choices), form.question)
        return {"question": asked, "answers": golds}

    def shared(self, ctx: Context) -> Mapping[str, str]:
        return self.digests()

    def fingerprint(self, shared: Mapping[str, str]) -> Mapping[str, str]:
        return shared

    def question(self, sample: Sample, shared: Mapping[str, str]) -> Observation:
        system = (Message("system", self.form.system, "task"),) if self.form.system else ()
        asked = Message("user", sample.data["question"], "task")
        return Observation((*system, asked), Ask(self.form.max_new_tokens))

    async def value(self, sample: Sample, reply: Reply, shared: Mapping[str, str]) -> Score:
        golds: Sequence[str] = sample.data["answers"]
        said = excerpt(reply.text, self.form.read, self.form.after).strip()
        return Score(self._value(reply.text, golds), answer=said, target=" | ".join(golds))

    def gold(self, sample: Sample, asked: Observation) -> str:
        return self._reply(sample.data["answers"][0])

    def _reply(self, gold: str) -> str:
        return f"{self.form.after} {gold}" if self.form.after else gold

    def _value(self, text: str, golds: Sequence[str]) -> float:
        said = excerpt(text, self.form.read, self.form.after)
        return value(said, golds, RULES[self.form.compare], self.form.choices)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _texts(answer: object) -> list[str]:
    """The right answers as texts; empty for anything but texts and numbers."""
    found: list[Any] = [*answer] if isinstance(answer, list) else [answer]
    if any(isinstance(one, bool) or not isinstance(one, str | int | float) for one in found):
        return []
    return [str(one) for one in found]


def _shown(field: object, choices: Sequence[str]) -> str:
    """A field as the question shows it."""
    if not isinstance(field, list):
        return str(field)
    entries: list[Any] = [*field]
    marks = [f"{choice}. " for choice in choices] or [""] * len(entries)
    return "\n".join(f"{mark}{entry}" for mark, entry in zip(marks, entries, strict=False))


def read_form(path: Path) -> QuestionSet:
    """The benchmark that a TOML file describes; its questions are not read yet.

    Raises:
        DataError: `FILE: what is wrong; what to do`.
    """
    import msgspec

    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        if unknown := set(table) - {one.name for one in fields(Form)}:
            known = ", ".join(one.name for one in fields(Form))
            raise ValueError(f"unknown keys {', '.join(sorted(unknown))}; known are {known}")
        form = msgspec.convert(table, Form)
        _check(form)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; give the path of a question set, {HELP}") from error
    except (OSError, ValueError, RecursionError) as error:  # also what msgspec and tomllib raise
        raise DataError(f"{path}: {error}; {HELP}") from error
    return QuestionSet(path, form)


def _check(form: Form) -> None:
    if not _ID.fullmatch(form.id):
        raise ValueError(f"id {form.id!r} must be lower-case letters, digits, - and _, at most 40")
    if form.max_new_tokens < 1 or form.version < 1:
        raise ValueError("max_new_tokens and version must be at least 1")
    if (form.compare == "choice") != bool(form.choices):
        raise ValueError('compare = "choice" and a list of `choices` go together')
    if Path(form.data).is_absolute() or ".." in Path(form.data).parts:
        raise ValueError(f"data {form.data!r} must lie beside the TOML file")
    if not all((form.title, form.split, form.metric, form.question)):
        raise ValueError("title, question, split and metric must not be empty")
