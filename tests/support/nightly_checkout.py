"""A checkout with the nightly script and two question sets, and a scripted model that answers them by seed.

The model speaks TGI's protocol over a real socket (`harness.models.local.loopback`).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import sys
from pathlib import Path

from packages import install

from harness.models.local.answers import NoReply

ROOT = Path(__file__).parents[2]
TASKS = {"sums": 300, "capitals": 200}
SET = """
id = "{name}"
title = "{name}"
data = "{name}.jsonl"
question = "Which word belongs to {{place}}?"
answer = "word"
compare = "exact"
"""
TOKEN = "planted-secret-token"


class Scripted:
    """Answers by sample: right on three in four, with `flips` of them changed by the night's seed.

    Attributes:
        broken: name of the task of which `fault` of all answers turn from right to wrong.
        mended_after: answers after which nothing is broken and the noise is another night's.
        answers: replies it gives before it fails; None for no end.
    """

    def __init__(self) -> None:
        self.night, self.flips, self.broken = 0, 0.05, ""
        self.fault = 0.10
        self.answers: int | None = None
        self.mended_after: int | None = None
        self.asked = 0
        self.changed: set[str] = set()

    async def __call__(self, asked) -> str:
        if asked.key.task not in TASKS:
            return "Hello."  # the request that a run tries each endpoint with
        self.asked += 1
        if self.answers is not None and self.asked > self.answers:
            raise NoReply("gone")
        mended = self.mended_after is not None and self.asked > self.mended_after
        night, broken = (self.night + 1000, "") if mended else (self.night, self.broken)
        task, place = asked.key.task, asked.key.sample.rpartition("/")[2]
        right = random.Random(f"{task}/{place}").random() < 0.75
        if random.Random(f"{task}/{place}/{night}").random() < self.flips:
            right = not right
        elif task == broken and right and random.Random(f"fault {place}").random() < self.fault / 0.75:
            right = False
            self.changed.add(asked.key.sample)
        return f"word{place}" if right else "no idea"


def make_checkout(tmp_path: Path) -> Path:
    """A folder with the script, two question sets in a suite, and a `harness` of this checkout."""
    site = tmp_path / "site"
    files = {
        "suites.toml": f"[nights]\ntasks = {json.dumps(list(TASKS))}\noverall = 'mean'\n",
        "__init__.py": "",
    }
    for name, count in TASKS.items():
        lines = [json.dumps({"place": n, "word": f"word{n}"}) for n in range(count)]
        files |= {f"{name}.toml": SET.format(name=name), f"{name}.jsonl": "\n".join(lines) + "\n"}
    entries = {name: f"night_bench:{name}.toml" for name in TASKS}
    groups = {"harness.tasks": entries, "harness.suites": {"nights": "night_bench"}}
    install(site, "night_bench", files, groups)
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/nightly", tmp_path / ".ci/nightly")
    path = os.pathsep.join([str(site), str(ROOT)])
    (tmp_path / "harness").write_text(
        f'#!/bin/sh\nPYTHONPATH="{path}" exec {sys.executable} -m harness "$@"\n'
    )
    (tmp_path / "harness").chmod(0o755)
    (tmp_path / "results/baselines").mkdir(parents=True)
    return tmp_path


async def night(checkout: Path, name: str, url: str, **more: str) -> tuple[int, str]:
    """Run the script; its exit code and everything it printed."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("HARNESS_", "GITHUB_"))}
    env |= {
        "HARNESS": str(checkout / "harness"), "NIGHT": name, "ENDPOINT": url, "MODEL": "agentlm-7b",
        "SUITE": "nights", "CONFIRM": "none", "HARNESS_API_KEY": TOKEN, **more,
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        str(checkout / ".ci/nightly"),
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 200)
    return process.returncode or 0, out.decode()


async def gate(checkout: Path, *words: str) -> None:
    process = await asyncio.create_subprocess_exec(str(checkout / "harness"), "gate", *words, cwd=checkout)
    assert await process.wait() == 0
