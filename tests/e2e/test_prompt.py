"""`harness prompt` shows, byte for byte, what `harness run` then sends, and sends nothing itself."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from command import harness

from harness.cli import group
from harness.errors import UsageError

sys.path.insert(0, str(Path(__file__).parent.parent / "core" / "models"))

from fault_server import INFO, Behaviour, FaultServer
from reference_templates import FOLDER

ENTRY = """[mymodel]
kind = "{kind}"
hf = "me/mymodel"
wire_name = "me/mymodel"
template = "{template}"
api_key_env = "{key}"
"""
SAID = {"choices": [{"message": {"content": "42"}, "text": "42", "finish_reason": "stop"}]}


def prompt(cwd: Path, *words: str, **variables: str) -> Result:
    """Run `harness prompt` on the fixture, in this process."""
    folders = {"HARNESS_CACHE": str(cwd / "cache"), "HARNESS_MODELS": str(cwd / "models.toml")}
    runner = CliRunner(env={"HARNESS_MIRROR": None, **folders, **variables})
    return runner.invoke(group, ["prompt", *words, "--mirror", "fixture"])


async def shown(cwd: Path, server: FaultServer, *words: str, **variables: str) -> str:
    """What `harness prompt` prints for a model behind the server, which it asks for no answer."""
    named = ("--model", "mymodel", "--endpoint", server.url)
    done = await asyncio.to_thread(prompt, cwd, *words, *named, **variables)
    assert done.exit_code == 0, done.exception
    assert server.seen == [], "nothing is sent"
    return done.stdout


async def played(cwd: Path, server: FaultServer, *words: str) -> tuple[str, str]:
    """Run `harness run` on the fixture in a process of its own; what it prints."""
    more = ("--model", "mymodel", "--endpoint", server.url, "--mirror", "fixture", "--out", "r")
    file = str(cwd / "models.toml")
    done = await asyncio.to_thread(harness, cwd, "run", *words, *more, HARNESS_MODELS=file)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def described(cwd: Path, kind: str, template: str, key: str = "") -> FaultServer:
    (cwd / "models.toml").write_text(ENTRY.format(kind=kind, template=template, key=key))
    server = FaultServer(info={**INFO, "model_id": "me/mymodel"}, reply=lambda seen: "The answer is 42.")
    server.models = {"data": [{"id": "me/mymodel"}]}
    if kind != "tgi":
        server.info, server.default = None, Behaviour(body=json.dumps(SAID).encode())
    return server


def scratch_folders(folder: Path) -> list[Path]:
    return list(folder.glob("harness-*"))


@pytest.mark.parametrize(
    ("kind", "template"),
    [("tgi", str(FOLDER / "gemma-2")), ("openai", "chatml"), ("chat", "")],
)
async def test_what_is_shown_is_what_is_sent(
    kind: str, template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with described(tmp_path, kind, template) as server:
        told = json.loads(await shown(tmp_path, server, "gsm8k", "test/1"))
        assert not scratch_folders(tmp_path), "everything is closed"
        report, said = await played(tmp_path, server, "--task", "gsm8k", "--samples", "test/1")
    sent = next(seen for seen in server.seen if seen.headers.get("x-harness-task") == "gsm8k")
    assert (told["url"], told["body"]) == (server.url + sent.path, sent.data)
    for name, value in told["headers"].items():
        assert sent.headers[name.lower()] == value
    assert (told["task"], told["sample"], told["kind"]) == ("gsm8k", "test/1", kind)
    moved = "(takes no system message: its text stands in front of the first user message)"
    assert (moved in report.replace("\n", " ")) == (kind == "tgi"), "the head of the report says so"
    assert said.count("takes no system message") == (kind == "tgi"), "and the run, once"


async def test_the_curl_line_sends_the_request_with_the_key_from_its_variable(tmp_path: Path):
    async with described(tmp_path, "tgi", "agentlm", key="MY_KEY") as server:
        told = json.loads(await shown(tmp_path, server, "mmlu", MY_KEY="s3cret"))
        line = await shown(tmp_path, server, "mmlu", "--as", "curl", MY_KEY="s3cret")
        text = await shown(tmp_path, server, "mmlu", "--as", "text", MY_KEY="s3cret")
        assert "s3cret" not in line and "$MY_KEY" in line
        work: dict[str, Any] = {"env": {"MY_KEY": "s3cret", "PATH": os.environ["PATH"]}, "timeout": 60}
        await asyncio.to_thread(subprocess.run, ["sh", "-c", line], capture_output=True, check=True, **work)
    (sent,) = server.seen
    assert sent.data == told["body"] and sent.headers["authorization"] == "Bearer s3cret"
    assert sent.data["parameters"]["grammar"] and text == sent.data["inputs"] + "\n"


def test_a_prompt_is_shown_without_a_server(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "models.toml").touch()
    told = json.loads(prompt(tmp_path, "gsm8k", "--model", "nobody@chat").stdout)
    assert told["body"]["messages"][-1]["role"] == "user" and told["template"] is None
    assert "a server of which nothing is known" in caplog.text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("gsm8k", "nosuch", "--model", "agentlm-7b"), "nosuch"),
        (("gsm9k", "--model", "agentlm-7b"), "gsm9k"),
        (("gsm8k", "--model", "nobody"), "unknown model 'nobody'"),
        (("gsm8k", "--model", "agentlm-7b", "--template", "chatlm"), "unknown chat template 'chatlm'"),
        (("gsm8k", "--model", "agentlm-7b", "--template", "./none.jinja"), "none.jinja is not there"),
    ],
)
def test_what_cannot_be_shown_is_a_usage_error(words: tuple[str, ...], said: str, tmp_path: Path):
    (tmp_path / "models.toml").touch()
    error = prompt(tmp_path, *words).exception
    assert isinstance(error, UsageError) and said in str(error)
