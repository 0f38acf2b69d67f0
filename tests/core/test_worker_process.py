"""One worker: answers, and every way of going wrong."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from processes import gone, until_gone

from harness.errors import EnvironmentFault
from harness.worker import FrameError, Launch, RemoteError, Worker, frames

PARTS = Path(__file__).parent / "worker_parts"
PATH = os.pathsep.join([str(PARTS), *sys.path])


def launch(**more: object) -> Launch:
    env = {"PYTHONPATH": PATH, **more.pop("env", {})}  # type: ignore[dict-item]
    return Launch("worker_under_test", env=env, **more)  # type: ignore[arg-type]


@pytest.fixture
async def worker():
    one = Worker(launch())
    await one.start()
    yield one
    await one.close()


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.integers(0, 2**31), st.text(), st.lists(plain, max_size=4))
def test_request_survives_its_frame(number: int, method: str, args: list[object]) -> None:
    frame = frames.encode(frames.Request(number, method, args))
    assert frames.length(frame[: frames.HEAD]) == len(frame) - frames.HEAD
    assert frames.request(frame[frames.HEAD :]) == frames.Request(number, method, args)


@given(st.binary(max_size=64))
def test_any_bytes_are_an_answer_or_a_frame_error(body: bytes) -> None:
    try:
        answer = frames.answer(body)
    except FrameError:
        return
    assert isinstance(answer, frames.Answer)


def test_frame_cap_and_what_msgpack_cannot_carry() -> None:
    with pytest.raises(FrameError, match="over the cap of 10"):
        frames.encode(frames.Request(1, "m", ["x" * 100]), cap=10)
    with pytest.raises(FrameError, match="the cap is 10"):
        frames.length(b"\x00\x00\x00\x0b", cap=10)
    with pytest.raises(FrameError, match="cannot be packed"):
        frames.encode(frames.Request(1, "m", ["\ud800"]))
    with pytest.raises(FrameError, match="cannot be packed"):
        frames.encode(frames.Request(1, "m", [object()]))


async def test_values_come_back_as_sent(worker: Worker) -> None:
    value = {"a": [1, 2.5, None, True, "äöü \x00 \U0001f600"], "b": {"c": b"\xff"}}
    assert await worker.call("echo", value, timeout=10) == value
    assert await worker.call("pid", timeout=10) == worker.pid


async def test_calls_are_answered_in_order_to_their_callers(worker: Worker) -> None:
    answers = await asyncio.gather(*(worker.call("echo", n, timeout=10) for n in range(200)))
    assert answers == list(range(200))


async def test_prints_do_not_reach_the_frames(worker: Worker) -> None:
    assert await worker.call("chatter", timeout=10) == ""
    assert await worker.call("echo", 1, timeout=10) == 1
    with pytest.raises(EnvironmentFault) as fault:
        await worker.call("die", timeout=10)
    for said in ("a library prints", "raw bytes", "printed from C", "last words", "exit -9"):
        assert said in str(fault.value)


async def test_stderr_is_kept_to_its_end(worker: Worker) -> None:
    assert await worker.call("shout", 50_000, timeout=20) == 50_000
    with pytest.raises(EnvironmentFault) as fault:
        await worker.call("die", timeout=10)
    assert "last words" in str(fault.value) and len(str(fault.value)) < 10_000


async def test_an_exception_in_the_handler_leaves_the_worker_well(worker: Worker) -> None:
    with pytest.raises(RemoteError, match="ValueError: no such thing") as error:
        await worker.call("raise_", "no such thing", timeout=10)
    assert error.value.kind == "ValueError" and isinstance(error.value, EnvironmentFault)
    with pytest.raises(RemoteError, match="SystemExit"):
        await worker.call("exit", timeout=10)
    with pytest.raises(RemoteError, match="cannot be packed"):
        await worker.call("unpackable", timeout=10)
    with pytest.raises(RemoteError, match="AttributeError"):
        await worker.call("_secret", timeout=10)
    with pytest.raises(FrameError, match="cannot be packed"):
        await worker.call("echo", "\ud800", timeout=10)
    assert await worker.call("echo", "well", timeout=10) == "well"


async def test_huge_frames_pass_and_those_over_the_cap_do_not() -> None:
    small = Worker(launch(frame_cap=2**20))
    await small.start()
    try:
        assert await small.call("size", "x" * 1_000_000, timeout=20) == 1_000_000
        with pytest.raises(FrameError, match="over the cap"):
            await small.call("size", "x" * 2**20, timeout=20)
        with pytest.raises(RemoteError, match="over the cap"):
            await small.call("big", 2**20, timeout=20)
        assert await small.call("echo", "well", timeout=10) == "well"
    finally:
        await small.close()


async def test_ten_megabytes_both_ways(worker: Worker) -> None:
    text = "y" * 10_000_000
    assert await worker.call("echo", text, timeout=30) == text


async def test_a_killed_child_is_a_fault_for_every_caller(worker: Worker) -> None:
    waiting = [asyncio.create_task(worker.call("hang", timeout=60)) for _ in range(3)]
    await asyncio.sleep(0)
    os.kill(worker.pid, signal.SIGKILL)
    for outcome in await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 20):
        assert isinstance(outcome, EnvironmentFault) and "exit -9" in str(outcome)
    with pytest.raises(EnvironmentFault):
        await worker.call("echo", 1, timeout=10)
    assert not worker.alive


async def test_a_hung_call_costs_the_child_its_life(worker: Worker) -> None:
    with pytest.raises(EnvironmentFault, match=r"hang took over 0\.2 s"):
        await worker.call("hang", timeout=0.2)
    assert gone(worker.pid) and not worker.alive


async def test_time_in_the_queue_does_not_count(worker: Worker) -> None:
    slow = asyncio.create_task(worker.call("wait", 2.0, timeout=60))
    await asyncio.sleep(0)
    assert await worker.call("echo", "patient", timeout=1.8) == "patient"
    assert await slow == 2.0


async def test_garbage_in_the_pipe_costs_the_child_its_life(worker: Worker) -> None:
    with pytest.raises(EnvironmentFault, match="no answer"):
        await worker.call("forge", timeout=20)
    assert gone(worker.pid)


async def test_leaving_the_queue_disturbs_nobody(worker: Worker) -> None:
    first = asyncio.create_task(worker.call("wait", 0.5, timeout=20))
    await asyncio.sleep(0)
    second = asyncio.create_task(worker.call("append", 0, "never", timeout=20))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert await first == 0.5
    assert await worker.call("append", 0, "yes", timeout=20) == ["yes"]


async def test_a_cancelled_call_may_end_for_the_others_sake(worker: Worker) -> None:
    first = asyncio.create_task(worker.call("wait", 0.5, timeout=20))
    await asyncio.sleep(0.1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await worker.call("echo", "well", timeout=20) == "well"


async def test_a_cancelled_call_that_goes_on_is_killed(worker: Worker) -> None:
    first = asyncio.create_task(worker.call("hang", timeout=600))
    await asyncio.sleep(0.1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    with pytest.raises(EnvironmentFault, match="its caller gave up"):
        await asyncio.wait_for(worker.call("echo", 1, timeout=20), 20)
    await until_gone(worker.pid)


async def test_memory_over_the_cap_is_killed_while_the_call_runs() -> None:
    one = Worker(launch(memory_mb=150))
    await one.start()
    try:
        assert 1 < one.rss_mb() < 150
        with pytest.raises(EnvironmentFault, match="the cap is 150 MB"):
            await one.call("grow_and_hang", 300, timeout=60)
        assert gone(one.pid)
    finally:
        await one.close()


async def test_a_child_that_refuses_to_start_says_why() -> None:
    one = Worker(launch(env={"WORKER_TEST_REFUSE": "1"}))
    with pytest.raises(EnvironmentFault, match="no licence for this machine"):
        await one.start()
    nobody = Worker(Launch("no_such_module_anywhere"))
    with pytest.raises(EnvironmentFault, match="No module named 'no_such_module_anywhere'"):
        await nobody.start()
    assert gone(one.pid) and gone(nobody.pid)


async def test_close_leaves_nothing_not_even_grandchildren(worker: Worker) -> None:
    grandchild = await worker.call("spawn", timeout=10)
    assert not gone(grandchild)
    await worker.close()
    await worker.close()
    assert gone(worker.pid)
    await until_gone(grandchild)
    with pytest.raises(EnvironmentFault, match="it was closed"):
        await worker.call("echo", 1, timeout=10)


async def test_close_ends_a_call_in_hand(worker: Worker) -> None:
    call = asyncio.create_task(worker.call("hang", timeout=600))
    await asyncio.sleep(0.1)
    await asyncio.wait_for(worker.close(), 20)
    with pytest.raises(EnvironmentFault, match="it was closed"):
        await call
    assert gone(worker.pid)


@pytest.mark.parametrize("call", ["echo", "hang"])
async def test_children_die_with_a_parent_killed_hard(tmp_path: Path, call: str) -> None:
    marker = tmp_path / "pid"
    script = (
        "import asyncio, sys\n"
        "from harness.worker import Launch, Worker\n"
        "async def main():\n"
        f"    worker = Worker(Launch('worker_under_test', env={{'WORKER_TEST_MARKER': {str(marker)!r}}}))\n"
        "    await worker.start()\n"
        "    print('started', flush=True)\n"
        f"    await worker.call({call!r}, *([1] if {call!r} == 'echo' else []), timeout=600)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, env={**os.environ, "PYTHONPATH": PATH}, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    assert await asyncio.wait_for(parent.stdout.readline(), 60) == b"started\n"
    child = int(marker.read_text())
    assert not gone(child)
    parent.kill()
    await parent.wait()
    await until_gone(child)


async def test_the_callers_folder_is_not_searched_for_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "msgspec.py").write_text("raise RuntimeError('shadowed')")
    monkeypatch.chdir(tmp_path)
    one = Worker(launch())
    await one.start()
    assert await one.call("environment", "PYTHONHASHSEED", timeout=10) == "0"
    await one.close()
