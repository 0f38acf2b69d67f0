"""A server of its own process that answers GSM8K's fixture slowly (tests/chaos/slow_server.py)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.data import task_folder

SCRIPT = Path(__file__).parent.parent / "chaos" / "slow_server.py"
QUESTIONS = task_folder("gsm8k") / "fixture/grade_school_math/data/test.jsonl"


@contextmanager
def slow_server(delay_s: str, port: str = "0") -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start it; gives its process and its address, and ends it on leaving."""
    command = [sys.executable, str(SCRIPT), delay_s, str(QUESTIONS), port]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None and server.stdin is not None
        yield server, f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.stdin.close()
        server.wait(timeout=20)
