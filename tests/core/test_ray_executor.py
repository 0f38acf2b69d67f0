"""The Ray executor without Ray: real workers in threads, and how a plan is spread over them."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest
from command import harness
from workers import Threads, ThreadWorker, elsewhere, played, request, transcripts

from harness.errors import MissingPart, UsageError
from harness.running import plan as planning
from harness.running.look import EndpointLook, Look
from harness.running.queue import EpisodeQueue, PlannedEpisode
from harness.running.ray_executor import cluster, same, settings
from harness.running.ray_executor.dispatch import Dispatcher
from harness.running.ray_executor.messages import Handed, Line, Opened, Opening, Report, packed, unpacked
from harness.running.ray_executor.outbox import MOST_BYTES, Outbox
from harness.running.ray_executor.places import Place, shared_out
from harness.running.ray_executor.summed import summed
from harness.running.request import Execution, ModelChoice, RunRequest, Workload
from harness.running.scheduler import TaskQueue
from harness.storage.records import Attempt, CallRecord, Turn
from harness.storage.store import Store
from harness.types import Ask, Message, Sample

TASKS = "gsm8k,card_game,mt_bench"


def test_three_workers_give_the_transcripts_of_one_process(tmp_path: Path):
    asked = request(tmp_path / "here", TASKS, limit=4, repeats=2)
    assert played(asked).exit_code == 0
    there = Threads(ThreadWorker, ThreadWorker, ThreadWorker)
    assert played(elsewhere(asked, tmp_path / "there"), there).exit_code == 0
    assert all(worker.reported for worker in there.workers), "one worker played nothing"
    here = transcripts(tmp_path / "here")
    assert len(here) == 24 and here == transcripts(tmp_path / "there")


def test_what_a_lost_worker_had_is_played_once_by_others(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    asked = request(tmp_path / "here", "gsm8k", repeats=4, concurrency=4)
    assert played(asked).exit_code == 0
    lost = [ThreadWorker(dies_after=0)]
    there = Threads(lambda: lost.pop() if lost else ThreadWorker(), ThreadWorker)
    assert played(elsewhere(asked, tmp_path / "there"), there).exit_code == 0
    assert "node1 is lost: killed by the test; episodes planned again: " in caplog.text
    assert len(there.workers) == 3, "another worker is started in its place"
    assert transcripts(tmp_path / "here") == transcripts(tmp_path / "there")
    handed = [item for worker in there.workers for item in worker.handed]
    assert len(handed) > len(set(handed)), "nothing was lost: nothing is shown"


def test_a_run_whose_workers_all_die_stops_and_resumes(tmp_path: Path):
    asked = request(tmp_path / "run", "gsm8k", repeats=4, concurrency=2)
    summary = played(asked, Threads(lambda: ThreadWorker(dies_after=1)))
    assert summary.exit_code == 3 and "no node is left" in summary.stopped
    assert 0 < summary.played < 64
    assert played(asked, Threads(ThreadWorker)).exit_code == 0
    assert len(transcripts(tmp_path / "run")) == 64


class Stopping(Threads):
    """Stops the run after five attempts, as the first Ctrl-C does."""

    def dispatcher(self, plan, tested, store, finished, end) -> Dispatcher:
        stored: list[Attempt] = []

        def stopping(attempt: Attempt, planned: PlannedEpisode) -> bool:
            stored.append(attempt)
            if len(stored) == 5:
                found.stop()
            return finished(attempt, planned)

        found = super().dispatcher(plan, tested, store, stopping, end)
        return found


def test_a_stopped_run_plays_what_is_live_to_its_end_and_resumes(tmp_path: Path):
    asked = request(tmp_path / "run", "gsm8k", repeats=4, concurrency=2)
    there = Stopping(ThreadWorker, ThreadWorker)
    summary = played(asked, there)
    assert summary.exit_code == 3 and 5 <= summary.played < 64
    assert played(asked).exit_code == 0, "without the cluster"
    assert len(transcripts(tmp_path / "run")) == 64


def without(task: str):
    """Have a worker find that its code of a task is not the command's."""

    def changed(opening: Opening) -> Opening:
        facts = {**opening.tasks, task: {**opening.tasks[task], "code": "0123"}}
        return replace(opening, tasks=facts)

    return lambda: ThreadWorker(changed)


def test_a_task_that_a_node_cannot_play_is_played_elsewhere(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    asked = request(tmp_path / "run", "gsm8k,card_game", limit=4)
    there = Threads(without("card_game"), ThreadWorker)
    assert played(asked, there).exit_code == 0
    told = [record.message for record in caplog.records if "does not play" in record.message]
    assert len(told) == 1 and told[0].startswith("node1 does not play card_game: ") and "code" in told[0]
    assert {item.task for item in there.workers[0].handed} <= {"gsm8k"}
    assert len(transcripts(tmp_path / "run")) == 8


@pytest.mark.parametrize(("task", "part"), [("sciworld", "java"), ("miniwob", "chromium")])
def test_a_node_without_a_program_says_which(
    task: str, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HARNESS_CHROMIUM", str(tmp_path / "none"))  # Playwright's own lies on no path
    own = planning.make(request(tmp_path / "run", task))
    (why,) = same.cannot_play(own, {task: {}}).values()
    assert part in why.lower() and "\n" not in why


def test_a_task_that_no_node_can_play_is_lost_alone(tmp_path: Path):
    asked = request(tmp_path / "run", "gsm8k,card_game", limit=4)
    summary = played(asked, Threads(without("card_game"), without("card_game")))
    assert summary.exit_code == 3 and list(summary.lost) == ["card_game"]
    assert "no node is left that plays it" in summary.lost["card_game"]
    assert summary.played == 4


def test_another_harness_on_all_nodes_ends_the_run_before_anything_is_sent(tmp_path: Path):
    other = [lambda: ThreadWorker(lambda opening: replace(opening, package="0.0.1 (feed)"))] * 2
    with pytest.raises(MissingPart, match="install the same on all nodes"):
        played(request(tmp_path / "run", "gsm8k"), Threads(*other))


def test_another_model_behind_a_nodes_endpoints_is_not_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    def changed(opening: Opening) -> Opening:
        return replace(opening, identity={**opening.identity, "kind": "tgi"})

    there = Threads(lambda: ThreadWorker(changed), ThreadWorker)
    assert played(request(tmp_path / "run", "gsm8k"), there).exit_code == 0
    assert "node1 plays nothing: another model answers here" in caplog.text
    assert not there.workers[0].handed


def test_requests_in_flight_are_shared_out():
    assert shared_out(10, 4) == [3, 3, 2, 2]
    assert shared_out(3, 8) == [1, 1, 1]


class Scripted:
    """A worker that plays nothing: it reports what it is handed, one episode at a time, in order.

    It stands for a worker where only the spreading is looked at.
    """

    def __init__(self) -> None:
        self.held, self.seen = list[Handed](), list[str]()

    async def open(self, opening: Opening) -> Opened:
        return Opened(spare=4)

    async def exchange(self, handed, over, *, stop: bool, requests: int) -> Report:
        self.held += handed
        await asyncio.sleep(0)
        done = [self.held.pop(0)] if self.held else []
        attempts = [
            packed(Attempt(one.item.task, 1, one.item.sample, one.item.repeat, "scored", 1.0)) for one in done
        ]
        self.seen += [one.item.sample for one in done]
        lines = [Line("harness.run", logging.WARNING, "memory is short")] if len(self.seen) == 1 else []
        return Report(attempts, [], {}, {}, {"t": True}, lines, [], Look({}), {}, 4, len(self.held))

    async def close(self) -> None:
        pass


async def test_episodes_that_hold_one_name_stay_on_one_worker_in_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    samples = [Sample(f"{n}", locks=(f"site:{n % 3}",)) for n in range(30)]
    queue = EpisodeQueue(PlannedEpisode(sample, 0) for sample in samples)
    store = Store(tmp_path / "run.sqlite")
    workers: dict[str, Scripted] = {}

    def start(name: str):
        workers[name] = Scripted()
        return workers[name]

    opening = Opening(
        RunRequest(Workload(), ModelChoice(model="oracle"), Execution()), "", {"t": {"version": 1}}, {}
    )
    found = [Place(name, lambda name=name: start(name), opening) for name in ("a", "b")]

    def finished(attempt: Attempt, planned: PlannedEpisode) -> bool:
        rest = int(planned.sample.id) % 3
        held = [
            name for name, one in workers.items() for item in one.held if int(item.item.sample) % 3 == rest
        ]
        assert len(set(held)) <= 1, f"{planned.sample.locks} is held by {held}"
        return False

    lost: list[Exception] = []
    dispatcher = Dispatcher(found, store, finished, pytest.fail)
    async with asyncio.timeout(60):
        await dispatcher.run([TaskQueue("t", queue, None, None, lost.append)])  # type: ignore[arg-type]
    order = [sample for worker in workers.values() for sample in worker.seen]
    assert sorted(order, key=int) == [sample.id for sample in samples] and not lost
    for worker in workers.values():
        for lock in range(3):
            mine = [int(sample) for sample in worker.seen if int(sample) % 3 == lock]
            assert mine == sorted(mine)
    assert {"a: memory is short", "b: memory is short"} <= set(caplog.messages), "whose line it is"
    store.close()


async def test_attempts_wait_at_the_worker_while_nobody_fetches_them():
    noise = os.urandom(MOST_BYTES // 4).hex()
    attempt = Attempt("t", 1, "s", 0, calls=[CallRecord(0, noise, "")])
    outbox = Outbox()
    puts = [asyncio.create_task(outbox.put(attempt)) for _ in range(12)]
    for _ in range(3):  # each put runs until it has to wait
        await asyncio.sleep(0)
    kept = len(outbox.attempts)
    assert 0 < kept < 12 and sum(map(len, outbox.attempts)) <= MOST_BYTES + len(outbox.attempts[0])
    sent = 0
    async with asyncio.timeout(60):
        while sent < 12:
            await outbox.news(1.0)
            sent += len(outbox.empty().attempts)
    assert all(put.done() for put in puts)


@pytest.mark.parametrize("size", [10, 100_000])
def test_an_attempt_arrives_as_it_was_sent(size: int):
    turn = Turn((Message("user", "a", "task"), Message("assistant", "b")), "c", ask=Ask(5, ("x",)))
    call = CallRecord(0, "p" * size + "\ud800", "é", {"seed": 3}, {"x": (1, 2)}, turn=turn, thought="d")
    attempt = Attempt("t", 1, "s", 0, "scored", 0.5, {"m": 1.0}, calls=[call], last=Turn(info={"y": 1}))
    assert unpacked(packed(attempt)) == attempt
    assert len(packed(attempt)) < 2000


def test_an_attempt_that_cannot_be_sent_is_an_infrastructure_error():
    attempt = Attempt("t", 1, "s", 0, "scored", 1.0, calls=[CallRecord(0, "", "", info={"x": lambda: 0})])
    found = unpacked(packed(attempt))
    assert (found.outcome, found.value) == ("infra_error", None) and "cannot be sent" in found.error


def test_looks_add_up_and_an_endpoint_is_up_where_one_worker_finds_it_so():
    one = Look({}, (EndpointLook("u", False, 2, 8, 3),), 2, 1, 5, 4.0, 900.0)
    two = Look({}, (EndpointLook("u", True, 3, 8, 4),), 3, 0, 6, None, 900.0)
    both = summed({"t": (1,)}, [one, two])
    assert both.endpoints == (EndpointLook("u", True, 5, 16, 7),)
    assert (both.flying, both.queued, both.tokens, both.outage_s, both.live) == (5, 1, 11, None, 1)
    assert summed({}, [one, one]).outage_s == 4.0


def test_keys_travel_and_are_kept_from_rays_processes(monkeypatch: pytest.MonkeyPatch):
    for name in ("HARNESS_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, f"value of {name}")
    monkeypatch.setenv("HARNESS_MODELS", "")
    told = settings.travelling(ModelChoice(model="agentlm-7b"))
    assert told["HARNESS_API_KEY"] == "value of HARNESS_API_KEY"
    assert not {"HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "RAY_AUTH_TOKEN", "PATH"} & set(told)
    with settings.without_secrets():
        inside = dict(os.environ)
    assert "PATH" in inside and "RAY_AUTH_TOKEN" in inside
    assert not {"HARNESS_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY"} & set(inside)
    assert os.environ["HF_TOKEN"] == "value of HF_TOKEN"
    opening = Opening(RunRequest(Workload(), ModelChoice(model="oracle")), "", {}, {}, told)
    assert "value of" not in repr(opening), "its text may be logged"


def test_without_ray_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPart, match=r"pip install 'agenttuning-harness\[dist\]'"):
        cluster.check(None, "oracle")


def answering(answer: bytes) -> int:
    """A port that answers the first connection with these bytes."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with server, server.accept()[0] as connection:
            connection.recv(64)
            connection.sendall(answer)

    Thread(target=serve, daemon=True).start()
    return server.getsockname()[1]


def test_an_address_where_no_cluster_answers_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = free.getsockname()[1]
    for port in (closed, answering(b"HTTP/1.1 400 Bad Request\r\n\r\n"), answering(b""), 99999):
        with pytest.raises(MissingPart, match=r"no Ray cluster answers at .*, nothing was sent") as refused:
            cluster.check(f"127.0.0.1:{port}", "oracle")
        assert "\n" not in str(refused.value)
    cluster.check(f"127.0.0.1:{answering(bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))}", "oracle")
    for odd in ("auto", "ray://host:1", "host"):
        with pytest.raises(UsageError, match="write HOST:PORT"):
            cluster.check(odd, "oracle")


def test_a_node_without_the_harness_is_told_so_and_not_tried_again():
    told = "The actor died: \x1b[36mray::Actor\nModuleNotFoundError: No module named 'harness'\n"
    gone = cluster.lost(RuntimeError(told))
    assert gone.forever and str(gone).startswith("No module named 'harness': install the same harness on all")
    assert not cluster.lost(RuntimeError("The actor died")).forever


class Refusing:
    """Stands for the package ray, which refuses to join a cluster."""

    def __init__(self, why: Exception) -> None:
        self.why = why

    def init(self, **options: object) -> None:
        raise ConnectionError("Failed to connect to Ray cluster") from self.why

    def shutdown(self) -> None:
        pass


def test_a_cluster_that_asks_for_its_token_is_told_from_one_that_is_slow(monkeypatch: pytest.MonkeyPatch):
    for why, told in (
        ("InvalidAuthToken: it is missing", "RAY_AUTH_MODE=token"),
        ("timed out", "busy machine"),
    ):
        monkeypatch.setitem(sys.modules, "ray", Refusing(RuntimeError(why)))  # type: ignore[arg-type]
        with pytest.raises(MissingPart, match=told), cluster.joined("10.0.0.1:6379", 1):
            pytest.fail("it was joined")


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="ray is installed here")
def test_the_command_without_ray_exits_2_and_sends_nothing(tmp_path: Path):
    run = ("run", "--model", "oracle", "--task", "gsm8k", "--mirror", "fixture")
    done = harness(tmp_path, *run, "--executor", "ray")
    assert done.returncode == 2 and "agenttuning-harness[dist]" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not (tmp_path / "results").exists()


def test_a_model_of_one_process_is_refused_before_it_is_loaded_and_before_ray_starts(tmp_path: Path):
    run = ("run", "--model", "hf:no/such/folder", "--task", "gsm8k", "--mirror", "fixture")
    done = harness(tmp_path, *run, "--executor", "ray")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "start `harness serve hf:no/such/folder` and name its address by --endpoint" in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_local_run_imports_neither_ray_nor_its_executor(tmp_path: Path):
    words = [
        "run",
        "--model",
        "oracle",
        "--task",
        "gsm8k",
        "--mirror",
        "fixture",
        "--out",
        str(tmp_path / "run"),
    ]
    program = (
        "import sys\nfrom harness.cli import group\n"
        f"assert group.main({words!r}, standalone_mode=False) == 0\n"
        "print('LOADED', *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=250, check=True
    )
    loaded = done.stdout.partition("LOADED")[2].split()
    assert "harness.running.runner" in loaded
    assert not [name for name in loaded if name.partition(".")[0] == "ray" or "ray_executor" in name]


def test_the_executor_is_no_part_of_the_configuration(tmp_path: Path):
    asked = request(tmp_path / "run", "gsm8k")
    there = replace(asked, execution=replace(asked.execution, executor="ray", workers=4))
    assert planning.make(asked).config() == planning.make(there).config()
