"""`harness contamination`: which questions of benchmarks stand in training files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import click

from harness.cli.common_options import MIRROR, RESULTS
from harness.cli.grouping import grouped
from harness.cli.run_options import names
from harness.cli.screen import echo


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Whose questions are looked for, as typed."""

    suites: tuple[str, ...]
    tasks: tuple[str, ...]
    split: str | None
    mirror: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How they are looked for, and what is told."""

    rule: str
    tokens: str
    run: str | None
    worst: int
    form: str


@click.command("contamination")
@click.argument("train", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--suite", "suites", multiple=True, callback=names, help="Suite, e.g. all (repeatable).")
@click.option("--task", "tasks", multiple=True, callback=names, help="Task (repeatable).")
@click.option("--split", help="Of every task; its default otherwise.")
@click.option("--rule", default="llama2", show_default=True, help="llama2 or ngram13.")
@click.option(
    "--tokens", default="words", show_default=True, help="words, cl100k, or the path of a tokenizer.json."
)
@click.option("--run", help="Split the scores of this run by what is found.")
@click.option(
    "--worst", type=click.IntRange(0), default=5, show_default=True, help="Samples shown of a task."
)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@MIRROR
@RESULTS
@grouped(wanted=Wanted, search=Search)
def command(train: tuple[Path, ...], results: Path, *, wanted: Wanted, search: Search) -> int:
    """Look for the questions of tasks in TRAIN: JSON lines, ShareGPT, AgentInstruct, Parquet, or folders.

    Exit code: 0, or 3 when a task was left out because its data is missing.
    """
    from harness.checks.contamination import measure, questions, rules, scores, shown, tokens, training

    rule, cut = rules.find(search.rule), tokens.find(search.tokens, wanted.mirror)
    files, run = training.files(train), None
    if search.run is not None:
        from harness.report.load import load

        run = load(search.run, results)
    asked = questions.read(
        questions.QuestionChoices(
            suites=wanted.suites, tasks=wanted.tasks, split=wanted.split, mirror=wanted.mirror
        )
    )
    found = measure.measure(asked, files, rule, cut)
    split = scores.split(run, found)
    if search.form == "json":
        told = shown.document(found, split, search.worst)
        click.echo(json.dumps(told, ensure_ascii=False, indent=1, allow_nan=False))
    else:
        for line in shown.lines(found, split, search.worst):
            echo(line)
    return 3 if found.missing else 0
