"""Files that several tasks use come from the mirror that a run was given, whatever the environment says."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.history import vocabulary
from harness.running import readiness
from harness.running.contexts import context
from harness.running.readiness import TaskChoices


@pytest.mark.parametrize("fixture", [True, False])
def test_the_mirror_of_a_run_reaches_its_vocabulary(
    fixture: bool, mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("HARNESS_MIRROR", raising=False)
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    chosen = TaskChoices(mirror=str(mirror), fixture=fixture)
    ctx = context(readiness.check("sciworld", chosen).cfg, tmp_path / "work")
    found = vocabulary("pairs-4036", ctx)
    assert found is not None and found.is_relative_to(mirror)
    assert vocabulary("segments-3500", ctx) is None
