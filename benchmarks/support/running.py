"""Starts the server that the benchmarks of the client share."""

from __future__ import annotations

import subprocess
import sys
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
