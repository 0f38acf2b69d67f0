"""Every chaos test leaves nothing behind: no process, port, mount, control group, profile or folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest
from leftovers import Place, nothing_left


@pytest.fixture(autouse=True)
def place(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    """Everything that the test starts is known by its mark, and has a temporary folder of its own."""
    tmp_path_factory.getbasetemp()  # which is no leftover, and stays where it is
    with nothing_left(request.node.name) as place:
        for name, value in place.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield place
        monkeypatch.undo()
