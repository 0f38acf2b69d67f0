"""Every file of chaos tests leaves no process, port, mount, control group, profile or folder behind."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest
from leftovers import Place, nothing_left

KNOWN = dict.fromkeys(("test_browser_killed", "test_children_killed"), "playwright[-_].*")
"""Names that a file of tests is known to leave: Playwright's driver, when it is killed, leaves
its browsers' profiles and artifacts in the temporary folder; the pool of browsers does not know of them."""


@pytest.fixture(autouse=True, scope="module")
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """All that the file's tests and their worlds start is known by its mark, and has one temporary folder."""
    tmp_path_factory.getbasetemp()  # which is no leftover, and stays where it is
    name = request.path.stem
    with nothing_left(name, KNOWN.get(name, "")) as place, pytest.MonkeyPatch.context() as patch:
        for variable, value in place.environment.items():
            patch.setenv(variable, value)
        patch.setattr(tempfile, "tempdir", None)
        yield place
