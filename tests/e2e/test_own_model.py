"""A model that no file describes is measured by one typed line, on a server of any kind."""

from __future__ import annotations

import json
import sqlite3
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from command import harness
from own_server import CHAT, COMPLETIONS, TGI, OwnServer, running
from tiny_model import write_tiny
from typed import typed

from harness.catalog.models import Entry
from harness.cli.models_command import meanings
from harness.models.clients.build import base_url

KEY = "sk-own-model-key-1"
RUN = ("run", "--task", "gsm8k", "--mirror", "fixture", "--limit", "3", "--out", "r")
TEMPLATE = ("--template", "llama2-chat")
NAME = "my org/my model v2"


def stored(cwd: Path) -> dict[str, Any]:
    """What the run's file holds beside its episodes."""
    with sqlite3.connect(f"file:{cwd / 'r/run.sqlite'}?mode=ro", uri=True) as store:
        return {key: json.loads(value) for key, value in store.execute("SELECT key, value FROM meta")}


LINES = {
    "tgi": (OwnServer((TGI,)), ("--model", NAME, *TEMPLATE), "speaks tgi (and chat,"),
    "completions": (OwnServer((COMPLETIONS,)), ("--model", NAME, *TEMPLATE), "speaks completions"),
    "both": (OwnServer((COMPLETIONS, CHAT)), ("--model", NAME, *TEMPLATE), "completions (and chat,"),
    "chat with key": (
        OwnServer((CHAT,), key=KEY),
        ("--model", NAME, "--api-key-env", "MY_KEY"),
        "speaks chat",
    ),
    "forced": (OwnServer((COMPLETIONS, CHAT)), ("--model", "me/tuned@chat"), ""),
    "unnamed": (OwnServer((COMPLETIONS,)), TEMPLATE, "speaks completions"),
}
"""The server, what is typed beside its address, and what is told."""

Said = Callable[..., tuple[int, str]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Runs a command in this process; its exit code and everything it said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTHER_KEY", "sk-another-key-2")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HARNESS_MIRROR", raising=False)
    return partial(typed, capsys)


@pytest.mark.parametrize("kind", LINES)
def test_one_line_measures_gsm8k(kind: str, tmp_path: Path):
    server, words, told = LINES[kind]
    server.seen.clear()
    with running(server) as (url,):
        done = harness(tmp_path, *RUN, *words, "--endpoint", f"{url}/v1", MY_KEY=KEY)
    assert (done.returncode, told in done.stderr) == (0, True), done.stderr
    name = words[1] if words[0] == "--model" else "me/tuned"
    assert f"({name})" in done.stdout and "66.67" in done.stdout, "two of three: one answer is negative"
    assert len(server.played) == 3
    spoken = {TGI: "tgi", COMPLETIONS: "completions", CHAT: "chat"}[server.played[0].path]
    assert f"spoken to as {spoken}\n" in done.stdout
    for asked in server.played:
        assert asked.path == (CHAT if "chat" in name or kind.startswith("chat") else server.paths[0])
        assert asked.key == server.key
        assert asked.data.get("model", "me/tuned") == "me/tuned"
        if asked.path != CHAT:
            prompt = asked.data.get("inputs") or asked.data["prompt"]
            assert prompt.startswith("[INST]") and prompt.endswith("[/INST]")
    assert stored(tmp_path)["identity"]["served"] == "me/tuned"
    assert KEY not in done.stdout + done.stderr
    assert KEY.encode() not in b"".join(path.read_bytes() for path in (tmp_path / "r").iterdir())


def test_one_line_measures_gsm8k_on_a_local_folder(tmp_path: Path):
    folder = write_tiny(tmp_path / "tiny", positions=4096)
    done = harness(tmp_path, *RUN, "--model", f"hf:{folder}", *TEMPLATE, "--max-new-tokens", "4")
    assert done.returncode == 0, done.stderr
    assert "template: llama2-chat" in done.stdout and "3/3" in done.stdout
    assert stored(tmp_path)["identity"]["kind"] == "hf"


@pytest.mark.parametrize("paths", [(COMPLETIONS,), (COMPLETIONS, CHAT), (TGI,)])
def test_without_a_template_three_ways_go_on(call: Said, paths: tuple[str, ...], tmp_path: Path):
    server = OwnServer(paths)
    with running(server) as (url,):
        status, said = call(*RUN, "--model", "mine", "--endpoint", url)
        ways = [line.strip() for line in said.splitlines() if line.startswith("  ")]
        assert (status, len(ways)) == (2, 3), said
        assert ways[0].startswith("--template NAME") and "llama2-chat" in ways[0]
        assert ways[1].startswith("--template PATH") and "tokenizer_config.json" in ways[1]
        third = "harness models add mine" if paths == (COMPLETIONS,) else "--model mine@chat"
        assert ways[2].startswith(third)
        assert not server.played and not (tmp_path / "r").exists()
        assert call(*RUN, "--model", "mine", "--endpoint", url, *TEMPLATE)[0] == 0


ONE = (OwnServer((COMPLETIONS,)),)
REFUSED: dict[str, tuple[Sequence[OwnServer], tuple[str, ...], str]] = {
    "no name, no server": ((), (), "give --model NAME, or --endpoint URL"),
    "key variable not set": (ONE, ("--api-key-env", "NOT_SET"), "export NOT_SET="),
    "key itself typed": (ONE, ("--api-key-env", KEY), "the key itself is never typed"),
    "no key": ((OwnServer((CHAT,), key=KEY),), (), "answered 401: wrong key: give --api-key-env VAR"),
    "wrong key": (
        (OwnServer((CHAT,), key=KEY),),
        ("--api-key-env", "OTHER_KEY"),
        "wrong key [API key]: export OTHER_KEY=... with the right key",
    ),
    "two kinds": (
        (OwnServer((TGI,)), OwnServer((COMPLETIONS,))),
        TEMPLATE,
        "have no protocol in common",
    ),
    "neither kind": ((OwnServer(()),), TEMPLATE, "is not recognised as a model server"),
    "chat with a template": ((OwnServer((CHAT,)),), TEMPLATE, "leave out --template"),
    "several models": (
        (OwnServer((COMPLETIONS,), served=("a", "b")),),
        ("--model", "c", *TEMPLATE),
        "serves a, b, not c: give one of them as --model",
    ),
    "another name": (
        (OwnServer((CHAT,), unknown=400),),
        ("--model", "other@chat"),
        "does not serve other, but me/tuned: --model me/tuned@chat",
    ),
    "another name, prompts": (
        (OwnServer((COMPLETIONS,)),),
        ("--model", "other@completions", *TEMPLATE),
        "does not serve other, but me/tuned: --model me/tuned@completions",
    ),
    "negative temperature": (ONE, (*TEMPLATE, "--temperature", "-1"), "not in the range 0<=x<=100"),
    "no temperature": (ONE, (*TEMPLATE, "--temperature", "nan"), "write one such as 0.7"),
    "greedy nucleus": (ONE, (*TEMPLATE, "--temperature", "0", "--top-p", "0.9"), "leave out --top-p"),
    "two decodings": (ONE, (*TEMPLATE, "--temperature", "1", "--decoding", "greedy"), "leave it out, or"),
    "own key as extra": (ONE, (*TEMPLATE, "--extra", "max_tokens=9"), "--max-new-tokens sets it"),
    "too many tokens": (ONE, (*TEMPLATE, "--max-new-tokens", "4096"), "takes 4096 tokens in all"),
    "too many for tgi": (
        (OwnServer((TGI,)),),
        (*TEMPLATE, "--max-new-tokens", "5000"),
        "takes 4096 tokens in all",
    ),
    "oracle": ((), ("--model", "oracle", "--temperature", "1"), "leave out --temperature"),
}
"""The servers, what is typed, and what the refusal says."""


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_meant_is_refused(call: Said, what: str, tmp_path: Path):
    servers, words, message = REFUSED[what]
    for server in servers:
        server.seen.clear()
    with running(*servers) as urls:
        ends = [word for url in urls for word in ("--endpoint", url)]
        status, said = call(*RUN, *words, *ends)
    assert (status, message in said) == (2, True), said
    assert "Traceback" not in said and KEY not in said
    sent = [asked for server in servers for asked in server.seen]
    assert not [asked for asked in sent if asked.task != "doctor"]
    assert not sent or "tokens" not in what, "told before anything is sent"
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("task", ["mmlu", "mmlu,gsm8k"])
def test_a_task_that_ranks_letters_is_refused_on_a_chat_server(call: Said, task: str, tmp_path: Path):
    with running(server := OwnServer((CHAT,))) as (url,):
        words = ("run", "--task", task, "--mirror", "fixture", "--limit", "2", "--out", "r")
        status, said = call(*words, "--model", "mine", "--endpoint", url)
    assert (status, "use the same model @completions" in said) == (2, True), said
    assert "mmlu.answer=generate" in said and {asked.task for asked in server.seen} == {"doctor"}
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("tail", ["", "/", "/v1", "/v1/completions", "/v1/chat/completions/"])
def test_the_address_of_a_request_means_its_server(tail: str):
    assert base_url(Entry("mine", "chat"), f"http://gpu:8000/models{tail}") == "http://gpu:8000/models"
    assert base_url(Entry("mine", "tgi"), "http://gpu/v1/completions") == "http://gpu/v1/completions"


def test_no_protocol_is_written_or_shown_for_a_server_that_does_not_answer(
    call: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with running(OwnServer((CHAT,))) as (url,):
        pass
    for action in ("show", "add"):
        if action == "add":
            monkeypatch.setenv("HARNESS_MODELS", str(tmp_path / "models.toml"))
        status, said = call("models", action, "mine", "--endpoint", url, *TEMPLATE)
        assert (status, "no endpoint answers" in said) == (2, True), said
    assert not (tmp_path / "models.toml").exists()
    assert call("models", "add", "mine", "--endpoint", url, "--kind", "completions", *TEMPLATE)[0] == 0


def test_a_run_resumes_and_its_servers_may_be_gone(call: Said, caplog: pytest.LogCaptureFixture):
    server = OwnServer((CHAT,))
    with running(server) as (url,):
        line = (*RUN, "--model", "mine", "--endpoint", url)
        assert call(*line)[0] == 0
        assert call(*line)[0] == 0
        assert len(server.played) == 3
    status, said = call(*line)
    assert (status, "(mine)" in said) == (0, True), said
    assert "no endpoint answers" in caplog.text


def test_an_entry_is_written_shown_and_run(call: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file, server = tmp_path / "models.toml", OwnServer((COMPLETIONS,), served=(NAME,))
    with running(server) as (url,):
        assert "export HARNESS_MODELS=" in call("models", "add", "mine", "--endpoint", url, *TEMPLATE)[1]
        monkeypatch.setenv("HARNESS_MODELS", str(file))
        status, said = call("models", "add", "mine", "--endpoint", url)
        assert (status, file.exists()) == (2, False), said
        status, said = call("models", "add", "mine", "--endpoint", url, *TEMPLATE, "--hf", NAME)
        assert status == 0, said
        text = file.read_text(encoding="utf-8")
        entry = tomllib.loads(text)["mine"]
        assert entry["kind"] == "completions" and entry["endpoints"] == [url]
        for name in ("mine", "agentlm-7b", "oracle"):
            status, said = call("models", "add", name, "--kind", "chat")
            assert (status, "has a meaning already" in said) == (2, True), said
        assert file.read_text(encoding="utf-8") == text
        assert call(*RUN, "--model", "mine")[0] == 0
        assert server.played[0].data["model"] == NAME


def test_a_model_is_shown_with_every_key_and_its_origin(
    call: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "models.toml"
    file.write_text('[mine]\nkind = "completions"\ntemplate = "llama2-chat"\nhf = "me/tuned"\n')
    monkeypatch.setenv("HARNESS_MODELS", str(file))
    assert set(meanings()) == {field.name for field in fields(Entry)} - {"name"}
    _, said = call("models", "show", "mine", "--api-key-env", "OTHER_KEY")
    for line in (
        f'kind = "completions"  # {file}',
        'wire_name = "me/tuned"  # from the name',
        "sanitize = false  # default",
        'api_key_env = "OTHER_KEY"  # command line',
        "[INST] What is 2 + 2? [/INST] It is 4. </s><s>[INST] And doubled? [/INST]",
    ):
        assert line in said, said
    assert (
        'hf = "THUDM/agentlm-7b"  # the harness\'s own models.toml' in call("models", "show", "agentlm-7b")[1]
    )
    assert "rendered by the server" in call("models", "show", "any@chat")[1]


def test_an_entry_of_the_file_sends_its_hub_id_or_its_name(
    call: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "models.toml").write_text(
        '[hub]\nkind = "chat"\nhf = "me/tuned"\n["me/tuned"]\nkind = "completions"\ntemplate = "agentlm"\n'
    )
    monkeypatch.setenv("HARNESS_MODELS", str(tmp_path / "models.toml"))
    server = OwnServer((CHAT, COMPLETIONS))
    with running(server) as (url,):
        for name in ("hub", "me/tuned"):
            status, said = call(*RUN[:-2], "--model", name, "--endpoint", url)
            assert status == 0, said
    sent = {(asked.path, asked.data["model"]) for asked in server.played}
    assert sent == {(CHAT, "me/tuned"), (COMPLETIONS, "me/tuned")}


@pytest.mark.parametrize(
    ("path", "kind", "times"),
    [
        (TGI, "@tgi", 1),
        (COMPLETIONS, "@completions", 2),
        (CHAT, "@chat", 2),
        (TGI, "", 1),
        (COMPLETIONS, "", 2),
        (CHAT, "", 2),
    ],
    ids=["tgi", "completions", "chat", "found to be tgi", "found to be completions", "found to be chat"],
)
def test_an_endpoint_is_surveyed_once(
    path: str,
    kind: str,
    times: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """Servers of lists are asked once more after the trial's answer, which is confirmed like any other."""
    monkeypatch.chdir(tmp_path)
    server = OwnServer((path,))
    template = () if path == CHAT else TEMPLATE
    with running(server) as (url,):
        status, said = typed(capsys, *RUN, "--model", f"me/tuned{kind}", "--endpoint", url, *template)
    assert status == 0, said
    assert server.played and server.looked.count("/info") == times, server.looked
