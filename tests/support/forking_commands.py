"""Imports the harness once, then runs each command in a fork of this process, for `command.py`.

One packet asks for one command: JSON with its words, folder, environment and resource limits, and its three
open files. The answer is its exit status, as `subprocess` tells it. A fork ends through Python's own end, as
any process.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import runpy
import socket
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKET = 1 << 20
PRELOADED = (
    *("asyncio", "aiohttp", "jinja2", "numpy", "rich.console", "rich.live", "rich.table", "tasks.gsm8k.task"),
    *("harness.models.connect", "harness.models.clients.build", "harness.models.local.loopback"),
    *("harness.models.trial", "harness.report.build", "harness.report.render", "harness.report.document"),
    *("harness.report.latex", "harness.running.plan", "harness.running.runner", "harness.running.resume"),
    *("harness.running.progress_live", "harness.running.progress_text", "harness.running.judge_stage"),
)


def become(
    words: list[str], cwd: str, env: dict[str, str], limits: list[tuple[int, int, int]], files: list[int]
) -> None:
    """Take the place of `python -m harness WORDS` as the asking process would start it."""
    for kind, soft, hard in limits:
        resource.setrlimit(kind, (soft, hard))
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.path[:0] = [cwd, *filter(None, env.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = ["-m", *words]


def next_command(channel: socket.socket) -> bool:
    """Run the next command that is asked for; True in its fork, False when nobody asks any more."""
    while True:
        packet, files, _, _ = socket.recv_fds(channel, PACKET, 3)
        if not packet:
            return False
        if (child := os.fork()) == 0:
            channel.close()
            become(**json.loads(packet), files=files)
            return True
        for file in files:
            os.close(file)
        channel.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())


def main() -> None:
    channel = socket.socket(fileno=int(sys.argv[1]))
    own = (str(Path(__file__).parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:] = [str(ROOT), *(place for place in sys.path if place not in own)]
    from harness.cli import COMMANDS

    for name in (*(f"harness.cli.{command}_command" for command in COMMANDS), *PRELOADED):
        importlib.import_module(name)
    del sys.path[0]
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a fork would lose the other threads"
    gc.collect()
    gc.freeze()
    if next_command(channel):
        runpy.run_module("harness", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
