"""Real model servers on a tiny model, in the environments that `make servers` installs."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
ROOT = HERE.parents[1]
STARTS_S = 240.0
"""vLLM takes a minute on an idle machine."""

QUIET = {
    "HF_HUB_OFFLINE": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
}


def python_of(name: str) -> Path:
    """The interpreter of one of the environments; the test fails where it is not installed."""
    found = Path(os.environ.get("HARNESS_SERVERS", ROOT / ".venv-servers")) / name / "bin/python"
    if not found.exists():
        pytest.fail(f"{found} is not there: make servers")
    return found


@dataclass(frozen=True)
class Served:
    """A server that answers.

    Attributes:
        kind: llama, transformers or vllm.
        url: its base URL.
        name: the model's name there.
    """

    kind: str
    url: str
    name: str


@dataclass(frozen=True)
class Tiny:
    """The tiny model's files, and what transformers computes with them (reference.py)."""

    folder: Path
    gguf: Path
    log: Path
    computing: subprocess.Popen[str]

    def reference(self, prompts: list[str], tokens: int) -> dict[str, Any]:
        """Greedy texts and first log-probabilities."""
        assert self.computing.stdin is not None and self.computing.stdout is not None
        self.computing.stdin.write(json.dumps({"prompts": prompts, "tokens": tokens}) + "\n")
        self.computing.stdin.flush()
        answer = self.computing.stdout.readline()
        assert answer, self.log.read_text("utf-8", "replace")[-2000:]
        return json.loads(answer)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    """Build the model of tests/support/tiny_llama.py, and load it where transformers computes with it."""
    top = tmp_path_factory.mktemp("tiny")
    folder, gguf, log = top / "tiny", top / "tiny.gguf", top / "reference.log"
    command = [python_of("llama"), ROOT / "tests/support/tiny_llama.py", folder, gguf]
    subprocess.run(command, check=True, capture_output=True, timeout=600, env=os.environ | QUIET)
    with (
        log.open("w") as written,
        subprocess.Popen(
            [str(python_of("llama")), str(HERE / "reference.py"), str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=written, text=True, env=os.environ | QUIET,
        ) as computing,
    ):  # fmt: skip
        yield Tiny(folder, gguf, log, computing)
        assert computing.stdin is not None
        computing.stdin.close()  # which ends it


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@contextmanager
def running(command: list[Any], log: Path, health: str) -> Iterator[None]:
    """Run a server until the block ends; the block begins once its health page answers."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")} | QUIET
    with log.open("wb") as written:
        server = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE, stdout=written, stderr=written, env=environment, start_new_session=True,
        )  # fmt: skip
    try:
        _wait(server, health, log)
        yield
    finally:
        for end in (server.terminate, server.kill):
            end()
            try:
                server.wait(20)
                break
            except subprocess.TimeoutExpired:
                continue
        assert server.stdin is not None
        server.stdin.close()


def _wait(server: subprocess.Popen[bytes], health: str, log: Path) -> None:
    ends = time.monotonic() + STARTS_S
    while time.monotonic() < ends and server.poll() is None:
        try:
            with urllib.request.urlopen(health, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    pytest.fail(f"the server does not answer at {health}:\n{log.read_text('utf-8', 'replace')[-3000:]}")


@contextmanager
def serving(kind: str, tiny: Tiny, folder: Path) -> Iterator[Served]:
    """Start a server of one kind; each command is the one of docs/servers.md."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    common = ["--host", "127.0.0.1", "--port", port]
    if kind == "llama":
        command = [python_of("llama"), HERE / "llama_server.py", tiny.gguf, port]
        name = tiny.gguf.name
    elif kind == "transformers":
        command = [python_of("transformers").with_name("transformers"), "serve", tiny.folder, *common]
        command += ["--device", "cpu"]
        name = str(tiny.folder)
    else:
        command = [python_of("vllm").with_name("vllm"), "serve", tiny.folder, *common, "--dtype", "float32"]
        command += ["--max-num-seqs", 8, "--enforce-eager", "--served-model-name", "tiny"]
        name = "tiny"
    with running(command, folder / f"{kind}.log", f"{url}/health"):
        yield Served(kind, url, name)


@pytest.fixture(scope="session", params=["llama", "transformers", "vllm"])
def server(request: pytest.FixtureRequest, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory):
    """Each kind of server in turn."""
    with serving(request.param, tiny, tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture
def entry(server: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Served:
    """The server's model as an entry `tiny` of a models file."""
    return write_entry(server, monkeypatch, tmp_path)


def write_entry(server: Served, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Served:
    """Name a server's model `tiny` (completions); `tiny@chat` is the same over chat."""
    lines = ["[tiny]", 'kind = "openai"', 'template = "llama2-chat"', f'hf = "{server.name}"']
    file = folder / "models.toml"
    file.write_text("\n".join([*lines, f'wire_name = "{server.name}"', "context = 2048", ""]))
    monkeypatch.setenv("HARNESS_MODELS", str(file))
    return server
