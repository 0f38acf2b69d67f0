"""Sandbox creation against a bare `bwrap true` with the same namespaces, and 64 sandboxes at once.

Run `python benchmarks/sandbox.py`; it exits 1 when creation takes more than 1.5 times its target of three
bare runs. The floor is measured in turn with the sandboxes, so that a busy machine slows both.
"""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
import time
from statistics import median

from harness.data import cache_folder
from tasks._shared.sandbox import Caps, Command, Sandbox, open_sandbox
from tasks._shared.sandbox.shell import Shell
from tasks.os.image import built_root

ROUNDS = 60
TARGET = 3.0
FLOOR = (
    *("bwrap", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net", "--unshare-cgroup"),
    *("--bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "true"),
)
LIVE = 64


def bare() -> float:
    began = time.perf_counter()
    subprocess.run(FLOOR, check=True)
    return time.perf_counter() - began


async def main() -> int:
    floor: list[float] = []
    parts: dict[str, list[float]] = {"create": [], "first command": [], "login shell": [], "destroy": []}
    hurried: list[float] = []
    async with open_sandbox({"bwrap": built_root(cache_folder())}) as sandbox:
        for _ in range(ROUNDS):
            floor.append(bare())
            marks = [time.perf_counter()]
            box = await sandbox.create(hostname=secrets.token_hex(6), caps=Caps())
            marks.append(time.perf_counter())
            await box.run(Command(("true",)))
            marks.append(time.perf_counter())
            shell = Shell(box)
            await shell.start()
            marks.append(time.perf_counter())
            await shell.close()
            began = time.perf_counter()
            await box.destroy()
            marks_end = time.perf_counter() - began
            for name, start, end in zip(parts, marks, marks[1:], strict=False):
                parts[name].append(end - start)
            parts["destroy"].append(marks_end)
            hurried.append(await right_after_another(sandbox))
        wall = await many(sandbox.create)
    base = median(floor)
    print(f"bare bwrap true, same namespaces  {base * 1e3:7.1f} ms (median of {ROUNDS})")
    for name, times in parts.items():
        print(f"{name:33s} {median(times) * 1e3:7.1f} ms = {median(times) / base:4.1f} x")
    print(f"create right after another, its place still in the making: {median(hurried) * 1e3:.1f} ms")
    print(f"{LIVE} at once, shell and 8 commands each: {wall:.1f} s")
    ratio = median(parts["create"]) / base
    print(f"create / bare: {ratio:.2f} (target {TARGET:g}, fails over {1.5 * TARGET:g})")
    return int(ratio > 1.5 * TARGET)


async def right_after_another(sandbox: Sandbox) -> float:
    first = await sandbox.create(hostname=secrets.token_hex(6))
    began = time.perf_counter()
    second = await sandbox.create(hostname=secrets.token_hex(6))
    seconds = time.perf_counter() - began
    await first.destroy()
    await second.destroy()
    return seconds


async def many(create) -> float:  # type: ignore[no-untyped-def]
    began = time.perf_counter()
    boxes = await asyncio.gather(*(create(hostname=f"{n:012x}") for n in range(LIVE)))
    shells = [Shell(box) for box in boxes]

    async def work(shell: Shell) -> None:
        await shell.start()
        for n in range(8):
            output = await shell.run(f"echo {n} >> /log; wc -l < /log", 60)
            assert output.text.strip() == str(n + 1), output
        await shell.close()

    await asyncio.gather(*map(work, shells))
    assert all(box.alive for box in boxes)
    await asyncio.gather(*(box.destroy() for box in boxes))
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
