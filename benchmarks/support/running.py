"""Starts the server that the benchmarks of the client share, and times whole processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVER = Path(__file__).with_name("fixed_latency_server.py")


@contextmanager
def fixed_latency_server(delay_s: float, *text: str) -> Iterator[str]:
    """Run the server in a process of its own, with a text to answer or its usual one; yields its URL."""
    command = [sys.executable, str(SERVER), str(delay_s), *text]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None and server.stdin is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.stdin.close()


def compiled(folder: Path) -> dict[str, str]:
    """This process's environment, in which Python keeps compiled modules, in `folder`.

    Where `PYTHONDONTWRITEBYTECODE` is set, each process would compile the harness anew, which an installed
    one does not. The first process that runs a program in this environment compiles; it is not to be timed.
    """
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(folder)}


def timed(command: list[str], environment: dict[str, str], cwd: Path | None = None) -> tuple[float, float]:
    """Wall and CPU seconds of a process, which must succeed."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command} ended with {process.returncode}: {said.decode(errors='replace')[-2000:]}")
    return time.perf_counter() - began, used.ru_utime + used.ru_stime
