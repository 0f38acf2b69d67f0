"""Every file of chaos tests leaves nothing behind: no process, port, mount, control group, profile or folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest
from leftovers import Place, nothing_left

KNOWN = {"test_browser_killed": "playwright[-_].*"}
"""What files of tests are known to leave, as a pattern of names: Playwright's driver, when it is killed, leaves
the profiles and artifacts of its browsers in the temporary folder, and the pool of browsers does not know them."""


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
