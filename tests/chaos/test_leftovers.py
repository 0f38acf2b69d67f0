"""The checker that all chaos tests use finds what is planted."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import leftovers
import pytest
from leftovers import Place

LISTENS = """
import socket, sys
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    sys.stdin.read()
"""


def test_a_process_and_its_port(place: Place):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", LISTENS], text=True, **pipes) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        (line,) = place.left()
        assert line.startswith(f"process {process.pid}: ") and f"(listens on {port})" in line
        process.communicate("", timeout=20)
    assert place.left() == []


def test_an_orphan_in_a_session_of_its_own(place: Place):
    """Its parent has ended, so that no tree of processes leads to it."""
    starts = "import subprocess as s; print(s.Popen(['sleep', '60'], stdout=2, start_new_session=True).pid)"
    started = [sys.executable, "-c", starts]
    pid = int(subprocess.run(started, stdout=subprocess.PIPE, check=True, timeout=60).stdout)
    try:
        assert [line.partition(":")[0] for line in place.left()] == [f"process {pid}"]
    finally:
        os.kill(pid, 9)


def test_a_temporary_folder(place: Place):
    folder = Path(tempfile.mkdtemp(prefix="profile-"))
    assert place.left() == [f"file {folder}"]
    folder.rmdir()


def test_shared_memory(place: Place):
    with tempfile.NamedTemporaryFile(prefix="harness-planted-", dir=leftovers.SHARED) as file:
        assert place.left() == [f"shared memory {file.name}"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_mount(place: Place, tmp_path: Path):
    target = tmp_path / "harness-planted"
    target.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", target], check=True)
    try:
        assert place.left() == [f"mount {target}"]
    finally:
        subprocess.run(["umount", target], check=True)


@pytest.mark.skipif(not os.access(leftovers.GROUPS, os.W_OK), reason="no control group may be made")
def test_a_control_group(place: Place):
    roots = (leftovers.GROUPS, *leftovers.GROUPS.glob("*/"))
    root = next(root for root in roots if (root / "cgroup.procs").exists() and os.access(root, os.W_OK))
    group = root / f"harness-planted-{os.getpid()}"
    group.mkdir()
    try:
        assert place.left() == [f"control group {group}"]
    finally:
        group.rmdir()


def test_a_test_that_leaves_something_fails(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(leftovers, "WITHIN_S", 0.0)
    with pytest.raises(AssertionError, match="left behind"), leftovers.nothing_left("planted") as inner:
        (inner.folder / "forgotten").touch()
    assert not inner.folder.exists()


def test_what_another_live_process_made_is_not_counted(place: Place):
    with subprocess.Popen(["/bin/sleep", "60"], env={}) as other:
        assert place.anothers(f"mount /tmp/harness-box-{other.pid}-0")
        other.kill()
        other.wait()
        assert not place.anothers(f"mount /tmp/harness-box-{other.pid}-0")
    assert not place.anothers(f"mount /tmp/harness-box-{os.getpid()}-0")
