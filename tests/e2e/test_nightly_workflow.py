"""The GitHub workflow: its form, and its own commands under a made-up GitHub, on red and green nights.

The steps' commands, conditions and environments are read from the file and run by bash as a hosted job runs
them. Made up are the runner's folders, `gh` and `make`, which write down how they were called.
"""

import asyncio
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import jsonschema
import pytest
import yaml
from junit_schema import check
from loopback_server import serving
from nightly_checkout import ROOT, TASKS, TOKEN, Scripted, gate, make_checkout, night

from harness.models.local.loopback import application

FLOW = yaml.safe_load((ROOT / ".github/workflows/nightly.yml").read_text())
TEXTS = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}
NAMES = {"contents", "issues", "pull-requests"}
PERMISSIONS = {
    "type": "object",
    "propertyNames": {"enum": sorted(NAMES)},
    "additionalProperties": {"enum": ["read", "write", "none"]},
}
STEP = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        **{key: {"type": "string"} for key in ("name", "id", "if", "shell", "working-directory")},
        "uses": {"type": "string", "pattern": "^[a-z-]+/[a-z-]+(/[a-z-]+)*@v[0-9]+$"},
        "run": {"type": "string", "not": {"pattern": r"\$\{\{"}},
        "with": TEXTS,
        "env": TEXTS,
    },
    "oneOf": [{"required": ["uses"]}, {"required": ["run"], "not": {"required": ["with"]}}],
}
JOB = {
    "type": "object",
    "additionalProperties": False,
    "required": ["runs-on", "steps"],
    "properties": {
        "if": {"type": "string"},
        "runs-on": {"type": "string"},
        "timeout-minutes": {"type": "integer", "minimum": 1, "maximum": 360},
        "permissions": PERMISSIONS,
        "env": TEXTS,
        "steps": {"type": "array", "minItems": 1, "items": STEP},
    },
}
INPUT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["description"],
    "properties": {"description": {"type": "string"}, "default": {"type": "string"}},
}
WORKFLOW = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "on", "permissions", "concurrency", "jobs"],
    "properties": {
        "name": {"type": "string"},
        "on": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "schedule": {
                    "type": "array",
                    "items": {"properties": {"cron": {"pattern": r"^[1-9][0-9]? ([0-9*]+ ){3}[0-9*]+$"}}},
                },
                "workflow_dispatch": {"properties": {"inputs": {"additionalProperties": INPUT}}},
            },
        },
        "permissions": PERMISSIONS,
        "concurrency": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"group": {"type": "string"}, "cancel-in-progress": {"const": False}},
        },
        "env": TEXTS,
        "jobs": {"type": "object", "additionalProperties": JOB},
    },
}


def test_the_workflow_has_the_form_that_github_documents():
    read = {"on" if key is True else key: value for key, value in FLOW.items()}  # YAML 1.1: `on` is true
    jsonschema.validate(read, WORKFLOW)
    assert set(read["on"]["workflow_dispatch"]["inputs"]) >= {"model", "endpoint", "suite"}


@dataclass
class Job:
    """A hosted job of this workflow that runs its commands in a checkout.

    Attributes:
        known: what `${{ }}` finds, by its dotted name.
        printed: everything that the steps wrote to the log.
    """

    checkout: Path
    known: dict[str, str]
    printed: str = ""
    env: dict[str, str] = field(default_factory=dict)

    def text(self, template: object) -> str:
        """Fill in the expressions: names and literals joined by `||`."""
        return re.sub(r"\$\{\{(.*?)\}\}", lambda found: self._value(found[1]), str(template))

    def _value(self, expression: str) -> str:
        for part in map(str.strip, expression.split("||")):
            value = part[1:-1] if part.startswith("'") else self.known.get(part, "")
            if value:
                return value
        return ""

    def _due(self, condition: str, *, failed: bool) -> bool:
        always, _, rest = condition.partition("always()")
        assert not always
        name, equals, literal = rest.removeprefix(" && ").partition(" == ")
        if failed and condition == "":
            return False
        return not equals or self.known.get(name, "") == literal.strip("'")

    async def run(self) -> dict[str, str]:
        """Run the job's commands; gives the outcome of each step that has an id."""
        runner = self.checkout / "runner"
        runner.mkdir(exist_ok=True)
        files = {
            name: runner / name.lower() for name in ("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")
        }
        for file in files.values():
            file.write_text("")
        base = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        base["PATH"] = f"{self.checkout / 'bin'}:{base['PATH']}"
        base |= {"GITHUB_ACTIONS": "true", "CI": "true", **{name: str(path) for name, path in files.items()}}
        base |= {key: self.text(value) for key, value in FLOW["env"].items()}
        failed, outcomes = False, {}
        for step in FLOW["jobs"]["night"]["steps"]:
            if "run" not in step or not self._due(step.get("if", ""), failed=failed):
                continue
            told = dict(line.split("=", 1) for line in files["GITHUB_ENV"].read_text().splitlines())
            own = {key: self.text(value) for key, value in step.get("env", {}).items()}
            process = await asyncio.create_subprocess_exec(
                "bash", "-e", "-o", "pipefail", "-c", step["run"], cwd=self.checkout,
                env=base | self.env | told | own,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            out, _ = await asyncio.wait_for(process.communicate(), 200)
            self.printed += out.decode()
            failed = failed or process.returncode != 0
            outcome = "failure" if process.returncode else "success"
            if "id" in step:
                outcomes[step["id"]] = self.known[f"steps.{step['id']}.outcome"] = outcome
        return outcomes


@pytest.fixture
def checkout(tmp_path):
    """The nightly checkout with the workflow's own scripts, and made-up `gh` and `make`."""
    made = make_checkout(tmp_path)
    shutil.copy(ROOT / ".ci/nightly-issue", made / ".ci/nightly-issue")
    (made / ".venv/bin").mkdir(parents=True)
    (made / ".venv/bin/harness").symlink_to(made / "harness")
    (made / "bin").mkdir()
    gh = '#!/bin/sh\necho "gh $*" >> calls\n[ "$2" != list ] || cat open-issue 2>/dev/null || true\n'
    for name, script in {"gh": gh, "make": '#!/bin/sh\necho "make $*" >> calls\n'}.items():
        (made / "bin" / name).write_text(script)
        (made / "bin" / name).chmod(0o755)
    return made


def scheduled(checkout: Path, **secrets: str) -> Job:
    known = {
        "github.event_name": "schedule", "github.server_url": "https://git.example", "github.token": TOKEN,
        "github.repository": "a/b", "github.run_id": "7", "inputs.suite": "nights",
        **{f"secrets.{name}": value for name, value in secrets.items()},
    }  # fmt: skip
    return Job(checkout, known)


def without_token(job: Job) -> None:
    """Neither the log nor any file that a job leaves holds the planted token."""
    assert TOKEN not in job.printed
    for folder in ("results", "runner"):
        for file in (job.checkout / folder).rglob("*"):
            assert not file.is_file() or TOKEN.encode() not in file.read_bytes(), file


@pytest.mark.slow
async def test_a_red_night_opens_an_issue_and_a_green_one_closes_it(checkout):
    model = Scripted()
    async with serving(application(model, "THUDM/agentlm-7b")) as url:
        for n in range(2):
            model.night = n
            assert (await night(checkout, f"n{n}", url))[0] == 0
        runs = [f"results/runs/agentlm-7b-nights-n{n}" for n in range(2)]
        await gate(checkout, *runs, "--save", "results/baselines/agentlm-7b-nights.json")

        model.night, model.broken = 2, "sums"
        job = scheduled(checkout, HARNESS_ENDPOINT=url, HARNESS_API_KEY=TOKEN)
        job.env["CONFIRM"] = "none"
        assert await job.run() == {"gate": "failure"}, job.printed
        assert "::error title=harness gate sums::regression" in job.printed
        summary = (checkout / "runner/github_step_summary").read_text()
        assert summary.startswith("## regression: agentlm-7b-nights-")
        assert "| sums | REGRESSION |" in summary
        (report,) = (checkout / "results/nights").glob("*.xml")
        cases = check(report.read_bytes())[0]
        assert {one.get("name"): len(one) for one in cases} == {"sums": 1, "capitals": 0}
        (changed,) = (checkout / "results/nights").glob("*-changed.sqlite")
        assert 0 < changed.stat().st_size < 50_000_000
        calls = (checkout / "calls").read_text()
        assert calls.startswith("make system setup\n")
        assert "gh issue create --title The nightly gate is red" in calls
        assert "https://git.example/a/b/actions/runs/7 names the tasks" in calls
        without_token(job)

        (checkout / "open-issue").write_text("12\n")
        (checkout / "calls").unlink()
        (today,) = {path.stem for path in (checkout / "results/nights").glob("*.xml")} - {"n0", "n1"}
        shutil.rmtree(checkout / f"results/runs/agentlm-7b-nights-{today}")
        model.night, model.broken = 3, ""
        job = scheduled(checkout, HARNESS_ENDPOINT=url, HARNESS_API_KEY=TOKEN)
        assert await job.run() == {"gate": "success"}, job.printed
        assert "gh issue close 12 --comment Green again" in (checkout / "calls").read_text()
        assert "::error" not in job.printed
        without_token(job)
    assert model.asked == 4 * sum(TASKS.values())


async def test_a_failing_command_ends_the_job_and_the_issue_is_told_all_the_same(checkout):
    (checkout / ".ci/nightly").write_text("#!/bin/sh\nexit 2\n")
    job = scheduled(checkout)
    assert await job.run() == {"gate": "failure"}
    assert "gh issue create" in (checkout / "calls").read_text()
