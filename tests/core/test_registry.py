"""Entry points name a task by any module and attribute; its data lies in the package of that module."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path

import pytest
from command import harness
from packages import install

from harness.catalog import registry

TASK = """
from harness.authoring import SingleTurn
from harness.types import Ask, Message, Observation, Sample, Score, TaskSpec


class Words(SingleTurn):
    spec = TaskSpec("words", 1, "general", "accuracy")

    def samples(self, cfg):
        return [Sample(word) for word in (cfg.data / "words.txt").read_text().split()]

    def question(self, sample, shared):
        return Observation((Message("user", sample.id),), Ask(8))

    async def value(self, sample, reply, shared):
        return Score(float(reply.text == sample.id))

    def gold(self, sample, asked):
        return sample.id


THE_TASK = Words()
"""


@pytest.mark.parametrize(
    ("file", "entry"),
    [
        ("__init__.py", "words_bench:THE_TASK"),
        ("task.py", "words_bench.task:THE_TASK"),
        ("made/of/parts.py", "words_bench.made.of.parts:THE_TASK"),
    ],
)
def test_a_task_is_found_wherever_its_entry_point_says(file: str, entry: str, tmp_path: Path) -> None:
    site, folder = tmp_path / "site", Path(file).parent
    files = {file: TASK, str(folder / "fixture" / "words.txt"): "one two three"}
    install(site, "words_bench", files, {"harness.tasks": {"words": entry}})
    assert "words " in harness(tmp_path, "list", "tasks", site=site).stdout
    words = ["run", "--model", "oracle", "--task", "words", "--mirror", "fixture", "--out", "r"]
    done = harness(tmp_path, *words, site=site)
    assert done.returncode == 0, done.stderr
    assert re.search(r"words \(fixture\) ¹ +3/3 +accuracy +100.00", done.stdout)


@pytest.mark.parametrize(
    "entry", ["words_bench:GONE", "words_bench.gone:TASK", "words_bench", "words_bench:x.toml"]
)
def test_an_entry_point_that_names_nothing_is_one_line(entry: str, tmp_path: Path) -> None:
    install(tmp_path / "site", "words_bench", {"__init__.py": ""}, {"harness.tasks": {"words": entry}})
    done = harness(tmp_path, "run", "--model", "oracle", "--task", "words", site=tmp_path / "site")
    assert done.returncode == 2
    assert "words" in done.stderr and "Traceback" not in done.stderr
    assert "words" in harness(tmp_path, "list", "tasks", site=tmp_path / "site").stdout


def test_this_repositorys_entry_points_name_the_module(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    entries = project["entry-points"][registry.GROUP]
    assert entries == {name: f"tasks.{name}.task:TASK" for name in entries}
    for name, value in entries.items():
        assert importlib.import_module(value.partition(":")[0]).TASK.spec.name == name
        assert not hasattr(importlib.import_module(f"tasks.{name}"), "TASK")
        assert registry.package(name) == f"tasks.{name}"
