"""The processes below one, as /proc knows them, and signals to all of them."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def below(pid: int) -> dict[int, str]:
    """Every live process that descends from one, by its id, with its command line; zombies left out."""
    children: dict[int, list[int]] = {}
    words: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue  # it ended meanwhile
        children.setdefault(int(parent), []).append(int(folder.name))
        if state != "Z" and command:
            words[int(folder.name)] = command
    found: dict[int, str] = {}
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            waiting.append(child)
            if child in words:
                found[child] = words[child]
    return found


def is_outside(pid: int) -> bool:
    """Whether a process is in the first namespace of process ids, where nothing in a sandbox sees it."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return False
    return any(line.startswith("NSpid:") and len(line.split()) == 2 for line in lines)


def stop_all(pid: int) -> list[int]:
    """Stop a process and all below it; those that were started while others were stopped, too."""
    stopped: list[int] = []
    while fresh := [one for one in (pid, *below(pid)) if one not in stopped]:
        for one in fresh:
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGSTOP)
            stopped.append(one)
    return stopped


def go_on(pids: list[int]) -> None:
    """Let stopped processes continue, the youngest first, so that none is asked before it can answer."""
    for pid in reversed(pids):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def kill_renderers() -> None:
    """Kill the processes that show this process's browser pages, as the kernel does for lack of memory."""
    for pid, words in below(os.getpid()).items():
        if " --type=renderer " in words:
            os.kill(pid, signal.SIGKILL)
