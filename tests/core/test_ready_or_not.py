"""`harness doctor X` and `harness run --task X` agree on whether a task can run, and name the same lacks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from harness import data
from harness.catalog import registry
from harness.checks import tasks as doctor
from harness.running import plan
from harness.running.readiness import Finding
from harness.running.request import ModelChoice, RunRequest, Workload

NAMES = registry.names()
PLACES = ("mirror", "fixture", "empty")


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What `--mirror` gets; the cache has nothing."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    mirror = request.getfixturevalue("mirror") if request.param == "mirror" else None
    monkeypatch.delenv("HARNESS_MIRROR", raising=False)  # the fixture has read it
    if mirror:
        return str(mirror)
    (tmp_path / "empty").mkdir()
    return {"fixture": "fixture", "empty": str(tmp_path / "empty")}[request.param]


def asked(task: str, place: str, split: str, roles: tuple[str, ...] = ()) -> list[str]:
    """What `run` says is missing."""
    work = Workload(tasks=(task,), split=split, mirror=place)
    found = plan.make(RunRequest(work, ModelChoice(model="oracle", roles=roles)))
    assert bool(found.missing) != bool(found.tasks)
    return [line.removeprefix(f"{task}: ") for line in found.missing.get(task, [])]


@pytest.mark.parametrize("place", PLACES, indirect=True)
@pytest.mark.parametrize("task", NAMES)
def test_doctor_and_run_agree(task: str, place: str):
    splits = registry.load(task).spec.splits
    checked = doctor.doctor_task(task, mirror=place)
    assert tuple(checked) == splits
    for split, findings in checked.items():
        lacks = failed(findings)
        assert asked(task, place, split) == lacks
        assert failed(doctor.doctor_task(task, mirror=place, split=split)[split]) == lacks


def failed(findings: Sequence[Finding]) -> list[str]:
    return [line for f in findings if f.level == "fail" for line in str(f).splitlines()]


@pytest.mark.parametrize("place", ["empty"], indirect=True)
@pytest.mark.parametrize("task", NAMES)
def test_an_empty_mirror_is_never_ready(task: str, place: str):
    """Nothing that a split reads is in it; one that reads no file needs none."""
    for split in registry.load(task).spec.splits:
        pinned = data.pins(task)
        assert asked(task, place, split) or (pinned.required and not pinned.of(split).files)


@pytest.mark.parametrize("place", ["mirror"], indirect=True)
def test_a_bound_role_changes_the_answer_of_both(place: str):
    def lacks(*roles: str) -> list[str]:
        lines = asked("rewoo", place, "test", roles=tuple(f"{role}=x@http://127.0.0.1:9" for role in roles))
        found = doctor.doctor_task("rewoo", mirror=place, roles=frozenset(roles))["test"]
        assert failed(found) == lines
        return [line for line in lines if line.startswith("role tool_llm")]

    assert len(lacks()) == 1
    assert lacks("tool_llm") == []


@pytest.mark.parametrize("place", ["fixture"], indirect=True)
def test_sqlite_needs_no_mariadb(place: str):
    def needed(**settings: str) -> set[str]:
        (found, *_) = doctor.doctor_task("dbbench", mirror=place, settings=settings).values()
        return {finding.name for finding in found}

    server = {"mariadbd", "room for mariadbd", "python package asyncmy", "open files"}
    assert needed() - needed(engine="sqlite") == server
