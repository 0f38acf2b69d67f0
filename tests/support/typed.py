"""The harness's command line in this process: quicker than a process of its own, where nothing kills it."""

from __future__ import annotations

import pytest

from harness.cli import group
from harness.cli.failing import exit_code


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Run a command; gives its exit code and everything it said."""
    try:
        status = group.main(list(words), standalone_mode=False)
    except (Exception, SystemExit) as error:
        status = exit_code(error)
    out, err = capsys.readouterr()
    return (status if isinstance(status, int) else 0), out + err
