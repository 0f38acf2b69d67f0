"""`harness serve hf:PATH`, `harness doctor --model hf:PATH`, and folders that cannot be loaded."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import pytest
import requests
from tiny_model import write_tiny
from typed import typed

from harness.catalog.models import find
from harness.checks.local_model import local_findings
from harness.errors import MissingPart, UsageError
from harness.models.connect import open_model
from harness.models.local.loading import load
from harness.models.local.memory import Budget
from harness.types import Message

WAIT_S = 250


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("tiny"), positions=4096)


@pytest.fixture
def copy(tiny, tmp_path):
    """A folder of its own with the tiny model, to be broken."""
    import shutil

    return shutil.copytree(tiny, tmp_path / "copy")


@contextmanager
def serve(*words):
    """`harness serve` in a process of its own."""
    command = [sys.executable, "-m", "harness", "serve", *map(str, words)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def told(process) -> dict[str, str]:
    """The address and the facts that it prints once it serves."""
    head = process.stdout.readline()
    found = re.search(r"at (http://\S+)", head)
    assert found, head + process.stderr.read()
    lines = [process.stdout.readline().strip() for _ in range(5)]
    return {"url": found[1]} | dict(line.split(": ", 1) for line in lines)


def post(url, **parameters):
    body = {"inputs": "two apples", "parameters": {"do_sample": False, **parameters}}
    return requests.post(url + "/generate_stream", json=body, stream=True, timeout=WAIT_S)


@pytest.mark.slow
def test_it_serves_until_the_first_interrupt_and_finishes_what_runs(tiny):
    with serve(f"hf:{tiny}", "--port", 0) as process:
        facts = told(process)
        assert facts["context"] == "4096 tokens" and facts["template"] == "its own"
        assert facts["device"].startswith("cpu") and facts["dtype"] == "float32"
        port = facts["url"].rpartition(":")[2]
        with serve(f"hf:{tiny}", "--port", port) as second:
            _, error = second.communicate(timeout=WAIT_S)
            assert second.returncode == 2 and f"cannot listen at 127.0.0.1:{port}" in error
        answer = post(facts["url"], max_new_tokens=100, repetition_penalty=1.5)
        process.send_signal(signal.SIGINT)
        lines = [line for line in answer.iter_lines() if line]
        assert json.loads(lines[-1][5:])["generated_text"]
        assert process.wait(WAIT_S) == 0
        assert "Traceback" not in process.stderr.read()


@pytest.mark.slow
def test_the_second_interrupt_ends_what_runs(tiny):
    with serve(f"hf:{tiny}", "--port", 0) as process:
        url = told(process)["url"]
        answer = post(url, max_new_tokens=4000)  # greedily it never ends
        process.send_signal(signal.SIGINT)
        assert any("waiting for 1 request" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        last = [line for line in answer.iter_lines() if line][-1]
        assert json.loads(last[5:])["error_type"] == "generation"
        assert process.wait(WAIT_S) == 130
        assert "Traceback" not in process.stderr.read()


def test_only_local_models_are_served(capsys):
    status, said = typed(capsys, "serve", "agentlm-7b")
    assert status == 2 and "give hf:FOLDER" in said


def levels(folder):
    return {
        finding.name: (finding.level, finding.state, finding.fix)
        for finding in local_findings(find(f"hf:{folder}"))
    }


def test_doctor_measures_a_whole_model(tiny, capsys):
    status, said = typed(capsys, "doctor", "--model", f"hf:{tiny}")
    assert status == 0, said
    assert "template: its own" in said and re.search(r"takes [\d.]+ GB for the weights in float32", said)


def test_doctor_names_what_is_missing(copy, monkeypatch):
    config = json.loads((copy / "config.json").read_text())
    config["max_position_embeddings"] = 1 << 40
    (copy / "config.json").write_text(json.dumps(config))
    level, state, fix = levels(copy)[str(copy)]
    assert level == "fail" and re.search(r"too little memory: .* GB are free", state) and "TGI" in fix
    (copy / "tokenizer_config.json").write_text("{}")
    (copy / "chat_template.jinja").unlink(missing_ok=True)
    assert levels(copy)["template"] == ("fail", "the model has no chat template", "give --template")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (copy / "model.safetensors").rename(copy / "model-00001-of-00002.safetensors")
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "1 of 2 weight files are missing: model-00002" in levels(copy)[str(copy)][1]
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "torch" else real(name, *a)
    )
    assert levels(copy)["packages"][:2] == ("fail", "torch missing")
    assert "agenttuning-harness[local]" in levels(copy)["packages"][2]


def broken(copy, what):
    """Break a model's folder in one way."""
    if what == "no weights":
        (copy / "model.safetensors").unlink()
    elif what == "half a download":
        whole = (copy / "model.safetensors").read_bytes()
        (copy / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    elif what == "pickled weights":
        (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    elif what == "no tokenizer":
        for path in copy.glob("*token*"):
            path.unlink()
    else:
        config = json.loads((copy / "config.json").read_text())
        config |= {"code of its own": {"auto_map": {"AutoConfig": "own.Config"}, "model_type": "own"}}[what]
        (copy / "config.json").write_text(json.dumps(config))


BROKEN = {
    "no weights": "cannot be loaded",
    "half a download": "cannot be loaded",
    "pickled weights": "no safetensors; save them anew",
    "no tokenizer": "cannot be loaded",
    "code of its own": "code of its own, which is not run here",
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_folder_that_cannot_be_loaded_says_why_in_one_line(copy, what):
    broken(copy, what)
    with pytest.raises(MissingPart, match=BROKEN[what]) as raised:
        load(str(copy))
    assert "\n" not in str(raised.value)


async def test_a_model_without_a_template_is_refused_with_what_to_give(copy):
    config = json.loads((copy / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (copy / "tokenizer_config.json").write_text(json.dumps(config))
    (copy / "chat_template.jinja").unlink(missing_ok=True)
    with pytest.raises(UsageError, match="has no chat template; give --template, or name one in a models"):
        async with open_model(f"hf:{copy}"):
            pass
    async with open_model(replace(find(f"hf:{copy}"), template="llama2-chat")) as model:
        assert model.render((Message("user", "x"),)) == "[INST] x [/INST]"


def test_a_vocabulary_larger_than_the_embedding_is_refused(copy):
    path = copy / "tokenizer.json"
    data = json.loads(path.read_text())
    data["model"]["vocab"] |= {f"new{i}": len(data["model"]["vocab"]) + i for i in range(5)}
    path.write_text(json.dumps(data))
    with pytest.raises(MissingPart, match=r"its tokenizer has \d+ tokens, its embedding \d+"):
        load(str(copy))


@pytest.mark.parametrize(
    ("needs", "shape"),
    [
        ([10], (1, 64)),
        ([10, 70, 3], (4, 128)),
        ([100] * 9, None),
        ([513], None),
        ([512], (1, 512)),
        ([250, 250], (2, 256)),
    ],
)
def test_the_budget_gives_rows_and_positions_that_fit(needs, shape):
    assert Budget(512, 8).shape(needs) == shape
