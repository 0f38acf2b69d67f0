"""The Ray executor on real Ray: one machine with four workers, and two nodes, one of which is killed.

Without ray these tests skip; under HARNESS_TEST_DIST (`make test-dist`) they fail.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from aiohttp import web
from command import harness
from leftovers import Place, nothing_left
from loopback_server import serving_from_a_thread
from workers import INFO, transcripts

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None and not os.environ.get("HARNESS_TEST_DIST"),
        reason="ray is not installed: make test-dist",
    ),
]
RUN = ("run", "--mirror", "fixture", "--seed", "5", "--no-report")
KEY = "sentinel-of-a-key-5f1c"


class Endpoint:
    """A TGI server whose answers follow from the prompt; a request may have to wait for an event."""

    def __init__(self) -> None:
        self.answered = 0
        self.keys = set[str]()
        self.reached: Callable[[int], None] = lambda answered: None

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/info":
            return web.json_response(INFO)
        if not request.path.startswith("/generate"):
            return web.json_response({})
        prompt = (await request.json())["inputs"]
        self.keys.add(request.headers.get("Authorization", ""))
        await asyncio.sleep(0.02)  # a model is no faster, and the run is to last a while
        self.answered += 1
        self.reached(self.answered)
        text = f"The answer is {len(prompt) % 97}."
        details = {"finish_reason": "eos_token", "generated_tokens": 5, "prefill": [], "tokens": []}
        return web.json_response({"generated_text": text, "details": details})


STARTS = 3
"""How often a cluster is started: Ray itself gives each node 30 s, too little on a busy machine."""


@pytest.fixture(autouse=True, scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Nothing stays behind of the clusters, neither those of the commands nor those made here."""
    tmp_path_factory.getbasetemp()  # which is no leftover, and stays where it is
    with nothing_left("ray") as place, pytest.MonkeyPatch.context() as patch:
        for variable, value in place.environment.items():
            patch.setenv(variable, value)
        patch.setattr(tempfile, "tempdir", None)
        yield place


@contextlib.contextmanager
def two_nodes() -> Iterator[Any]:
    """A head that plays nothing, and two nodes of one core each, on this machine."""
    from ray.cluster_utils import Cluster as Nodes

    before = children_of(os.getpid())
    with contextlib.ExitStack() as stack:
        # Of a cluster that nobody but a test starts, Ray keeps all logs.
        stack.callback(shutil.rmtree, Path(tempfile.gettempdir(), "ray"), ignore_errors=True)
        for attempt in range(1, STARTS + 1):
            nodes = Nodes()
            stack.callback(nodes.shutdown)
            try:
                nodes.add_node(num_cpus=0, include_dashboard=False)
                for _ in range(2):
                    nodes.add_node(num_cpus=1)
                break
            except Exception as error:  # Ray raises no type of its own
                if "timed out" not in str(error) or attempt == STARTS:
                    raise
                nodes.shutdown()
                for pid in children_of(os.getpid()) - before:  # of the node that Ray does not know yet
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        yield nodes


def test_four_workers_give_the_transcripts_of_one_process(tmp_path: Path):
    chosen = ("--model", "oracle", "--task", "gsm8k,card_game,mt_bench", "--limit", "4", "--repeats", "2")
    assert harness(tmp_path, *RUN, *chosen, "--out", "here").returncode == 0
    ray = ("--executor", "ray", "--workers", "4", "--out", "there")
    done = harness(tmp_path, *RUN, *chosen, *ray)
    assert done.returncode == 0, done.stderr
    assert "ray: nodes 1, workers 4, requests in flight over all 64" in done.stderr
    here = transcripts(tmp_path / "here")
    assert len(here) == 24 and here == transcripts(tmp_path / "there")
    assert harness(tmp_path, *RUN, *chosen, *ray).returncode == 0, "a complete run starts no cluster"


def command_of(endpoint: str, *words: str) -> tuple[str, ...]:
    chosen = ("--model", "agentlm-7b", "--endpoint", endpoint, "--task", "gsm8k", "--repeats", "20")
    return (*RUN, *chosen, "--concurrency", "4", *words)


def test_two_nodes_give_the_same_and_one_killed_loses_nothing(tmp_path: Path):
    served = Endpoint()
    with serving_from_a_thread(served.answer) as (url,), two_nodes() as nodes:
        done = harness(tmp_path, *command_of(url, "--out", "here"))
        assert done.returncode == 0, done.stderr
        here = transcripts(tmp_path / "here")
        assert len(here) == 320
        there = ("--executor", "ray", "--ray-address", nodes.address)
        done = harness(tmp_path, *command_of(url, "--out", "two", *there), HARNESS_API_KEY=KEY)
        assert done.returncode == 0, done.stderr
        assert "ray: nodes 2, workers 2, requests in flight over all 4" in done.stderr
        assert transcripts(tmp_path / "two") == here
        assert served.keys == {"", f"Bearer {KEY}"}, "the key did not reach the nodes"

        killed: list[Thread] = []
        begun = served.answered

        def kill_a_node(answered: int) -> None:
            if answered >= begun + 60 and not killed:
                gone = nodes.list_all_nodes()[-1]
                killed.append(Thread(target=nodes.remove_node, args=(gone, False)))
                killed[0].start()

        served.reached = kill_a_node
        done = harness(tmp_path, *command_of(url, "--out", "one", *there), HARNESS_API_KEY=KEY)
        for thread in killed:
            thread.join(120)
        assert done.returncode == 0, done.stderr
        assert killed and re.search(r"is lost: .*; episodes planned again: [1-9]", done.stderr), done.stderr
        assert transcripts(tmp_path / "one") == here
        session = Path(nodes.head_node.get_session_dir_path())
        texts = [path.read_bytes() for path in session.rglob("*") if path.is_file()]
        assert texts and not [text for text in texts if KEY.encode() in text], "a key is in Ray's files"


def children_of(pid: int) -> set[int]:
    """All processes below one."""
    found: set[int] = set()
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    while more := {child for child, parent in pairs if parent in found | {pid}} - found:
        found |= more
    return found


def listening(pids: set[int]) -> list[str]:
    """Local addresses, in the kernel's notation, on which any of the processes listens for TCP."""
    sockets = set[str]()
    for pid in pids:
        with contextlib.suppress(OSError):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    sockets.add(str(link.readlink()))
    lines = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()
    ]
    return [
        line[1].partition(":")[0] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets
    ]


LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}


def test_a_killed_worker_is_started_again_and_nothing_listens_outside(tmp_path: Path):
    served = Endpoint()
    with serving_from_a_thread(served.answer) as (url,):
        done = harness(tmp_path, *command_of(url, "--out", "here"))
        assert done.returncode == 0, done.stderr
        before, begun = children_of(os.getpid()), served.answered
        seen, addresses, killed = set[int](), list[str](), list[int]()
        words, told = list[str](), set[str]()

        def kill_a_worker(answered: int) -> None:
            if answered >= begun + 60 and not killed:
                seen.update(children_of(os.getpid()) - before)
                addresses.extend(listening(seen))
                words.extend(map(command, seen))
                rays = [pid for pid in seen if "site-packages/ray/" in command(pid)]
                told.update(variable(pid, "RAY_USAGE_STATS_ENABLED") for pid in rays)
                killed.append(min(pid for pid in seen if command(pid).startswith("ray::Actor")))
                os.kill(killed[0], signal.SIGKILL)

        served.reached = kill_a_worker
        ray = ("--executor", "ray", "--workers", "2", "--out", "there")
        done = harness(tmp_path, *command_of(url, *ray))
    assert done.returncode == 0, done.stderr
    assert killed and re.search(r"this machine/\d is lost: .*; episodes planned again: [1-9]", done.stderr)
    assert not done.stdout, "Ray writes where reports are written"
    assert transcripts(tmp_path / "there") == transcripts(tmp_path / "here")
    assert addresses and set(addresses) <= LOOPBACK
    assert [one for one in words if "raylet" in one]
    assert all("--disable-frontend" in one for one in words if "dashboard/dashboard.py" in one)
    assert told - {""} == {"0"}, "usage statistics are on"
    for _ in range(600):  # a process that is being ended may be seen for a moment
        if not (left := [pid for pid in seen if "ray" in command(pid)]):
            break
        time.sleep(0.1)
    assert not left, "processes of Ray are left"


def command(pid: int) -> str:
    """Command line of a process; empty when it ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    return ""


def variable(pid: int, name: str) -> str:
    """A variable as a process began with it; empty where it had none, and where it ended."""
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/environ").read_text(errors="replace").split("\0")
        return next((line.partition("=")[2] for line in lines if line.startswith(f"{name}=")), "")
    return ""


def test_an_address_without_a_cluster_ends_the_command_in_one_line(tmp_path: Path):
    served = Endpoint()
    with serving_from_a_thread(served.answer) as (url,):
        there = ("--executor", "ray", "--ray-address", url.removeprefix("http://"))
        done = harness(tmp_path, *command_of(url, *there))
    assert done.returncode == 2 and served.answered == 0
    assert len(done.stderr.splitlines()) == 1 and "no Ray cluster answers at" in done.stderr
    assert not (tmp_path / "results").exists()
