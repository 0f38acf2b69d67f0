"""Every file of chaos tests leaves no process, port, mount, control group, profile or folder behind."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest
from leftovers import Place, nothing_left


@pytest.fixture(autouse=True, scope="module")
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """All that the file's tests and their worlds start is known by its mark, and has one temporary folder."""
    tmp_path_factory.getbasetemp()  # which is no leftover, and stays where it is
    with nothing_left(request.path.stem) as place, pytest.MonkeyPatch.context() as patch:
        for variable, value in place.environment.items():
            patch.setenv(variable, value)
        patch.setattr(tempfile, "tempdir", None)
        yield place
