"""The nightly script against a scripted model on loopback: nights with noise, a fault, and a dead server."""

import asyncio
import json
import os
import random
import shutil
import sys
from pathlib import Path

import pytest
from loopback_server import serving
from packages import install

from harness.models.local.answers import NoReply
from harness.models.local.loopback import application

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
        broken: name of the task of whose right answers one in ten turns wrong.
        answers: replies it gives before it fails; None for no end.
    """

    def __init__(self) -> None:
        self.night, self.flips, self.broken = 0, 0.05, ""
        self.answers: int | None = None
        self.asked = 0
        self.changed: set[str] = set()

    async def __call__(self, asked) -> str:
        if asked.key.task not in TASKS:
            return "Hello."  # the request that a run tries each endpoint with
        self.asked += 1
        if self.answers is not None and self.asked > self.answers:
            raise NoReply("gone")
        task, place = asked.key.task, asked.key.sample.rpartition("/")[2]
        right = random.Random(f"{task}/{place}").random() < 0.75
        if random.Random(f"{task}/{place}/{self.night}").random() < self.flips:
            right = not right
        elif task == self.broken and right and random.Random(f"fault {place}").random() < 0.10 / 0.75:
            right = False
            self.changed.add(asked.key.sample)
        return f"word{place}" if right else "no idea"


@pytest.fixture
def checkout(tmp_path):
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


async def test_nights_with_noise_are_green_a_fault_is_red_and_a_dead_server_is_no_verdict(checkout):
    model = Scripted()
    async with serving(application(model, "THUDM/agentlm-7b")) as url:
        runs: list[str] = []
        for number in range(3):
            model.night = number
            code, text = await night(checkout, f"n{number}", url)
            assert (code, "no baseline" in text) == (0, True), text
            runs.append(f"results/runs/agentlm-7b-nights-n{number}")
        assert model.asked == 3 * sum(TASKS.values())
        await gate(checkout, *runs, "--save", "results/baselines/agentlm-7b-nights.json")

        model.night = 3
        code, text = await night(checkout, "n3", url)
        assert code == 0, text

        model.night, model.broken = 4, "sums"
        summary = checkout / "summary.md"
        github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
        code, text = await night(checkout, "n4", url, **github)
        assert code == 4, text
        assert "::error title=harness gate sums" in text
        assert "| sums | REGRESSION |" in summary.read_text()
        report = (checkout / "results/nights/n4.xml").read_text()
        named = {line.strip() for line in report.splitlines()}
        found = {sample for sample in model.changed if any(sample in line.split(">")[-1] for line in named)}
        assert len(found) >= 0.9 * len(model.changed) > 10

        model.night, model.broken = 5, ""
        assert (await night(checkout, "n5", url))[0] == 0

        model.night, model.asked, model.answers = 6, 0, 250
        code, text = await night(checkout, "n6", url)
        assert code == 3, text
        assert "no verdict" in text
        model.answers = None
        assert (await night(checkout, "n6", url))[0] == 0, "the same night goes on when the server is back"
    for file in checkout.rglob("results/**/*"):
        assert not file.is_file() or TOKEN.encode() not in file.read_bytes(), file


def test_the_workflow_is_what_github_reads():
    import yaml

    flow = yaml.safe_load((ROOT / ".github/workflows/nightly.yml").read_text())
    triggers = flow[True]  # YAML 1.1 reads `on` as a truth value
    assert triggers["schedule"][0]["cron"].split()[0] not in ("0", "00")
    assert set(triggers["workflow_dispatch"]["inputs"]) >= {"model", "endpoint", "suite"}
    assert flow["concurrency"]["cancel-in-progress"] is False
    assert flow["jobs"]["night"]["timeout-minutes"] <= 360
    for job in flow["jobs"].values():
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert "secrets." not in str(step.get("run", "")), "a secret in a command is printed with it"
