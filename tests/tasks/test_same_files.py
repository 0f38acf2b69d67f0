"""The same idea lies in the same file in every task, and its classes carry the task's word."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

TASKS_FOLDER = Path(__file__).parents[2] / "tasks"
TASKS = sorted(path.parent.name for path in TASKS_FOLDER.glob("*/task.py"))

FILES = {
    "__init__.py": "a docstring only",
    "task.py": "TASK: spec, samples, opening the world",
    "rows.py": "reads the data files into frozen rows, with their checks",
    "prompts.py": "builds what the model is shown",
    "action.py": "reads a reply into an action or an answer",
    "score.py": "from an action or an answer to a value; metrics, aggregates",
    "world.py": "what episodes share; has `open_world`",
    "episode.py": "one attempt",
    "oracle.py": "the right replies",
    "prepare.py": "makes the derived data",
}
"""The convention; a task has each file only where it has the idea."""

OTHER_WORDS = {
    "actions.py": "action.py",
    "prompt.py": "prompts.py",
    "texts.py": "prompts.py",
    "questions.py": "rows.py",
    "problems.py": "rows.py",
    "row.py": "rows.py",
    "scoring.py": "score.py",
    "worlds.py": "world.py",
    "episodes.py": "episode.py",
    "oracles.py": "oracle.py",
}
"""Other words for the same ideas, with the file's name."""

HOMES = (
    (r"open_world", "world.py"),
    (r"prepare(_together)?", "prepare.py"),
    (r"aggregate", "score.py"),
    (r"[A-Z]\w*Task|TASK", "task.py"),
    (r"[A-Z]\w*World", "world.py"),
    (r"[A-Z]\w*Episode", "episode.py"),
    (r"[A-Z]\w*Oracle", "oracle.py"),
    (r"[A-Z]\w*Prompts", "prompts.py"),
    (r"[A-Z]\w*Row", "rows.py"),
)
"""Which top-level names lie in which file."""

SHARED_WORDS = ("Rules", "Answer", "Prompts", "Row", "World", "Episode", "Oracle", "Data")
"""Names that say nothing without the task's word."""


def top_level(task: str) -> Iterator[tuple[str, str]]:
    """(file, name) of every class, function and constant that a module of the task's folder defines."""
    for path in sorted((TASKS_FOLDER / task).glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield path.name, node.name
            elif isinstance(node, ast.Assign):
                yield from ((path.name, name.id) for name in node.targets if isinstance(name, ast.Name))


def classes(task: str) -> set[str]:
    """The classes of all modules of a task, those of its subfolders as well."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in (TASKS_FOLDER / task).rglob("*.py"))
    return {node.name for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)}


@pytest.mark.parametrize("task", TASKS)
def test_the_package_is_a_docstring_and_the_task_is_in_its_file(task: str) -> None:
    body = ast.parse((TASKS_FOLDER / task / "__init__.py").read_text(encoding="utf-8")).body
    (docstring,) = body
    assert isinstance(docstring, ast.Expr) and isinstance(docstring.value, ast.Constant)
    assert ("task.py", "TASK") in set(top_level(task))


@pytest.mark.parametrize("task", TASKS)
def test_names_lie_in_the_file_of_their_idea(task: str) -> None:
    misplaced = [
        f"{file}: {name} belongs in {home} ({FILES[home]})"
        for file, name in top_level(task)
        for pattern, home in HOMES
        if re.fullmatch(pattern, name) and file != home
    ]
    assert not misplaced, "\n".join(misplaced)


@pytest.mark.parametrize("task", TASKS)
def test_files_have_the_name_of_their_idea(task: str) -> None:
    found = {path.name for path in (TASKS_FOLDER / task).glob("*.py")}
    wrong = [f"{name} is called {OTHER_WORDS[name]}" for name in sorted(found & OTHER_WORDS.keys())]
    if "world.py" in found and ("world.py", "open_world") not in set(top_level(task)):
        wrong.append("world.py has no open_world")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("task", TASKS)
def test_class_names_carry_the_tasks_word(task: str) -> None:
    assert sorted(classes(task) & set(SHARED_WORDS)) == []


def test_no_class_name_occurs_in_two_tasks() -> None:
    owners: dict[str, list[str]] = defaultdict(list)
    for task in TASKS:
        for name in classes(task):
            owners[name].append(task)
    assert {name: found for name, found in owners.items() if len(found) > 1} == {}
