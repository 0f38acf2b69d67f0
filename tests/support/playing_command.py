"""A `harness run` in a process of its own, held while it plays."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def playing(
    cwd: Path, *words: str, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Start a command, wait until it plays, and kill it at the end if it still runs.

    Args:
        cwd: the folder it runs in.
        words: behind `harness`.
        environment: in place of this process's.
    """
    started = [sys.executable, "-m", "harness", *words]
    with subprocess.Popen(started, cwd=cwd, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            read_until(process, "run directory")
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], words: str) -> None:
    """Read what a command says up to the line with such words, which must come."""
    assert process.stderr is not None
    while words not in (told := process.stderr.readline()):
        assert told, f"the command ended before it said {words!r}"
