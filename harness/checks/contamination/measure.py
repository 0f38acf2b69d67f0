"""Measures how much of each benchmark's samples is found in training files."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.checks.contamination import training
from harness.checks.contamination.index import SpanIndex
from harness.checks.contamination.questions import Questions, TaskQuestions
from harness.checks.contamination.rules import VERDICTS, Rule, Verdict
from harness.checks.contamination.tokens import Tokens

log = logging.getLogger("harness.checks.contamination")

TELL = 100_000
"""Rows after which the log says how far the search is."""


@dataclass(frozen=True, slots=True)
class SampleFinding:
    """What was found of one sample.

    Attributes:
        tokens: of its question.
        covered: how many of them lie in a shared run.
        text: the longest covered part of the question; empty where there is none or it may not be shown.
    """

    sample: str
    tokens: int
    covered: int
    verdict: Verdict
    text: str = ""

    @property
    def share(self) -> float:
        """Of its tokens that are covered, in [0, 1]."""
        return self.covered / self.tokens if self.tokens else 0.0


@dataclass(frozen=True, slots=True)
class TaskFinding:
    """What was found of one task.

    Attributes:
        samples: in the order of the task.
        unknown: how many samples have no question before they are played.
    """

    questions: TaskQuestions
    samples: tuple[SampleFinding, ...]
    unknown: int

    @property
    def task(self) -> str:
        """Its name."""
        return self.questions.task

    def counts(self) -> dict[Verdict, int]:
        """How many samples have each verdict; those without a question have none."""
        found = Counter(one.verdict for one in self.samples if one.tokens)
        return {verdict: found[verdict] for verdict in VERDICTS}

    def worst(self, most: int) -> list[SampleFinding]:
        """The samples of which most is covered."""
        found = sorted((one for one in self.samples if one.covered), key=lambda one: (-one.share, one.sample))
        return found[:most]


@dataclass(slots=True)
class Findings:
    """What was found of all.

    Attributes:
        rows: of the training files.
        rows_found: how many of them share a run with a sample.
        cut: places of rows of which only the beginning was searched.
        missing: why a task was left out, by its name.
    """

    rule: Rule
    tokens: str
    files: list[Path]
    tasks: list[TaskFinding] = field(default_factory=list[TaskFinding])
    rows: int = 0
    rows_found: int = 0
    cut: list[str] = field(default_factory=list[str])
    missing: dict[str, str] = field(default_factory=dict[str, str])


def measure(questions: Questions, files: Sequence[Path], rule: Rule, tokens: Tokens) -> Findings:
    """Search the files for every question.

    Args:
        questions: what to look for.
        files: training files, read one after the other and never whole.
        rule: which runs count, and how a sample is called.
        tokens: what runs are made of.

    Raises:
        DataError: a training file cannot be read; the message names file and line.
    """
    texts = [(task, name, text) for task in questions.tasks for name, text in task.texts.items()]
    cut = [tokens.cut(text) for _, _, text in texts]
    index = SpanIndex(cut, rule.span)
    found = Findings(rule, tokens.about, list(files), missing=questions.missing)
    for path in files:
        for row in training.rows(path):
            index.add([tokens.cut(text) for text in row.texts])
            found.cut += [row.place] * row.cut
            if index.rows % TELL == 0:
                log.info("%s: %d rows so far", path, index.rows)
        log.info("%s is read, %d rows so far", path, index.rows)
    covered = index.covered()
    by_task: dict[str, list[SampleFinding]] = {task.task: [] for task in questions.tasks}
    for (task, name, text), own in zip(texts, covered, strict=True):
        shown = "" if task.private else _longest(text, own, tokens)
        hits, length = int(own.sum()), len(own)
        finding = SampleFinding(name, length, hits, rule.verdict(hits, length), shown)
        by_task[task.task].append(finding)
    for task in questions.tasks:
        samples = tuple(by_task[task.task])
        found.tasks.append(TaskFinding(task, samples, sum(not one.tokens for one in samples)))
    found.rows, found.rows_found = index.rows, index.rows_found
    return found


def _longest(text: str, covered: Any, tokens: Tokens) -> str:
    """The longest run of covered tokens, as the text writes it."""
    best = (0, 0)
    start = None
    for place, hit in enumerate([*covered.tolist(), False]):
        if hit and start is None:
            start = place
        elif not hit and start is not None:
            best = max(best, (start, place), key=lambda run: run[1] - run[0])
            start = None
    return tokens.excerpt(text, *best) if best[1] else ""
