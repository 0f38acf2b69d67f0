"""A split asks only for the files it reads, and a task without splits is as before."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from packages import install

from harness import data
from harness.catalog import registry
from harness.cli.data_command import command
from harness.errors import DataError

TASK = """
from types import SimpleNamespace
TASK = SimpleNamespace(spec=SimpleNamespace(name="shops", splits=("full", "small")))
"""
PINS = """
folder = "shops"
[[file]]
path = "both.json"
kind = "manual"
sha256 = "{both}"
licence = "MIT"
[[file]]
path = "big.json"
kind = "manual"
splits = ["full"]
sha256 = "{big}"
licence = "MIT"
[[file]]
path = "little.json"
kind = "manual"
splits = ["small"]
sha256 = "{little}"
licence = "MIT"
"""


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pins = PINS.format(both=sha("both"), big=sha("big"), little=sha("little"))
    files = {"__init__.py": TASK, "data.toml": pins}
    folder = install(
        tmp_path / "site", "shops_bench", files, {"harness.tasks": {"shops": "shops_bench:TASK"}}
    )
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HARNESS_MIRROR", raising=False)
    yield folder
    sys.modules.pop("shops_bench", None)


@pytest.fixture
def mirror_of_two(tmp_path: Path) -> str:
    """What the split `small` reads, and nothing else."""
    folder = tmp_path / "mirror" / "shops"
    folder.mkdir(parents=True)
    for name in ("both", "little"):
        (folder / f"{name}.json").write_text(name)
    return str(folder.parent)


def test_a_split_is_refused_only_for_files_it_reads(package: Path, mirror_of_two: str):
    assert data.resolve("shops", mirror_of_two, "small").problems == ()
    (problem,) = data.resolve("shops", mirror_of_two, "full").problems
    assert "big.json" in problem
    assert len(data.resolve("shops", mirror_of_two).problems) == 1


def test_a_corrupt_file_of_another_split_does_not_count(package: Path, mirror_of_two: str):
    (Path(mirror_of_two) / "shops" / "big.json").write_text("other")
    assert data.resolve("shops", mirror_of_two, "small").problems == ()
    assert "corrupt" in data.resolve("shops", mirror_of_two, "full").problems[0]


def test_the_digest_names_the_files_of_the_split(package: Path, mirror_of_two: str):
    def of(*names: str) -> str:
        lines = "\n".join(f"{name}.json {sha(name)}" for name in names)
        return hashlib.sha256(lines.encode()).hexdigest()[:16]

    assert data.resolve("shops", mirror_of_two, "small").digest == of("both", "little")
    assert data.resolve("shops", mirror_of_two, "full").digest == of("both", "big")
    assert data.resolve("shops", mirror_of_two).digest == of("both", "big", "little")


WHOLE = [task for task in registry.names() if not any(pin.splits for pin in data.pins(task).files)]
"""Tasks without files of single splits."""


@pytest.mark.parametrize("task", WHOLE)
def test_no_run_of_a_task_without_splits_gets_another_name(task: str, mirror: Path):
    """Runs of the first wave carry this digest; it may only change where a `data.toml` names splits."""
    files = data.pins(task).files
    lines = "\n".join(f"{pin.path} {pin.sha256}" for pin in files)
    expected = hashlib.sha256(lines.encode()).hexdigest()[:16]
    assert {data.resolve(task, str(mirror), split).digest for split in (None, "test")} == {expected}


@pytest.mark.parametrize("task", registry.names())
def test_no_task_pins_a_file_for_a_split_it_lacks(task: str):
    data.pins(task, registry.load(task).spec.splits)


def test_a_split_nobody_has_is_refused_where_the_splits_are_known(package: Path):
    text = (package / "data.toml").read_text()
    (package / "data.toml").write_text(text.replace('["small"]', '["tiny"]'))
    with pytest.raises(DataError, match=r"little\.json is for split 'tiny'; shops has full, small"):
        data.pins("shops", ("full", "small"))


def test_the_commands_take_a_split(package: Path, mirror_of_two: str):
    def call(*words: str):
        return CliRunner().invoke(command, [*words], standalone_mode=False)

    shown = call("list", "shops", "--split", "small", "--mirror", mirror_of_two).output
    assert "little.json  [MIT]  (small only)" in shown
    assert "big.json" not in shown
    assert "shops: ok" in call("verify", "shops", "--split", "small", "--mirror", mirror_of_two).output
    assert (
        "shops: 1 problem\n" in call("verify", "shops", "--split", "full", "--mirror", mirror_of_two).output
    )
    left = call("pull", "shops", "--split", "full").output
    assert "2 files (both.json, ...)" in left
    assert "unknown split of shops 'smal': did you mean small?" in str(
        call("verify", "shops", "--split", "smal").exception
    )
    assert "--split needs the names" in str(call("pull", "--split", "small").exception)
