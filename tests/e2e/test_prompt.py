"""`harness prompt` shows, byte for byte, what `harness run` then sends, and sends nothing itself."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command import harness

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


async def typed(cwd: Path, server: FaultServer, *words: str, **variables: str) -> str:
    """Run a command on the fixture with the server as endpoint; what it prints on standard output."""
    more = ("--model", "mymodel", "--endpoint", server.url, "--mirror", "fixture")
    variables |= {"HARNESS_MODELS": str(cwd / "models.toml"), "TMPDIR": str(cwd / "tmp")}
    done = await asyncio.to_thread(harness, cwd, *words, *more, **variables)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("takes no system message") == ("run" in words) * (
        "gemma" in (cwd / "kind").read_text()
    )
    return done.stdout


def described(cwd: Path, kind: str, template: str, key: str = "") -> FaultServer:
    (cwd / "tmp").mkdir(exist_ok=True)
    (cwd / "kind").write_text(template)
    (cwd / "models.toml").write_text(ENTRY.format(kind=kind, template=template, key=key))
    server = FaultServer(info={**INFO, "model_id": "me/mymodel"}, reply=lambda seen: "The answer is 42.")
    server.models = {"data": [{"id": "me/mymodel"}]}
    if kind != "tgi":
        server.info, server.default = None, Behaviour(body=json.dumps(SAID).encode())
    return server


@pytest.mark.parametrize(
    ("kind", "template"),
    [("tgi", str(FOLDER / "gemma-2")), ("openai", "chatml"), ("chat", "")],
)
async def test_what_is_shown_is_what_is_sent(kind: str, template: str, tmp_path: Path):
    async with described(tmp_path, kind, template) as server:
        shown = json.loads(await typed(tmp_path, server, "prompt", "gsm8k", "test/1"))
        assert server.seen == [], "nothing is sent"
        assert not list((tmp_path / "tmp").glob("harness-*")), "everything is closed"
        run = ("run", "--task", "gsm8k", "--samples", "test/1", "--out", "r")
        report = await typed(tmp_path, server, *run)
    sent = next(seen for seen in server.seen if seen.headers.get("x-harness-task") == "gsm8k")
    assert (shown["url"], shown["body"]) == (server.url + sent.path, sent.data)
    for name, value in shown["headers"].items():
        assert sent.headers[name.lower()] == value
    assert (shown["task"], shown["sample"], shown["kind"]) == ("gsm8k", "test/1", kind)
    moved = "(takes no system message: its text stands in front of the first user message)"
    assert (moved in report.replace("\n", " ")) == (kind == "tgi"), "the head of the report says so"


async def test_the_curl_line_sends_the_request_with_the_key_from_its_variable(tmp_path: Path):
    async with described(tmp_path, "tgi", "agentlm", key="MY_KEY") as server:
        shown = json.loads(await typed(tmp_path, server, "prompt", "mmlu", MY_KEY="s3cret"))
        line = await typed(tmp_path, server, "prompt", "mmlu", "--as", "curl", MY_KEY="s3cret")
        text = await typed(tmp_path, server, "prompt", "mmlu", "--as", "text", MY_KEY="s3cret")
        assert "s3cret" not in line and "$MY_KEY" in line and server.seen == []
        work: dict[str, Any] = {
            "env": {"MY_KEY": "s3cret", "PATH": "/usr/bin:/bin"},
            "timeout": 60,
            "check": True,
        }
        await asyncio.to_thread(subprocess.run, ["sh", "-c", line], capture_output=True, **work)
    (sent,) = server.seen
    assert sent.data == shown["body"] and sent.headers["authorization"] == "Bearer s3cret"
    assert sent.data["parameters"]["grammar"] and text == sent.data["inputs"] + "\n"


def test_a_prompt_is_shown_without_a_server(tmp_path: Path):
    done = harness(tmp_path, "prompt", "gsm8k", "--model", "nobody@chat", "--mirror", "fixture")
    told = json.loads(done.stdout)
    assert told["body"]["messages"][-1]["role"] == "user" and told["template"] is None
    assert "a server of which nothing is known" in done.stderr


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
def test_what_cannot_be_shown_is_one_line_and_code_2(words: tuple[str, ...], said: str, tmp_path: Path):
    done = harness(tmp_path, "prompt", *words, "--mirror", "fixture")
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
