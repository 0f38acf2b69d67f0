"""The sandbox's own promises: proof from inside, confinement, capped output, honest refusals."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sandboxes import HOSTNAME, opened

from harness.errors import EnvironmentFault, MissingPart
from tasks._shared.sandbox import (
    Caps,
    Command,
    SandboxFault,
    bwrap_box,
    container,
    host_python,
    linux,
    open_sandbox,
    probe,
)
from tasks._shared.sandbox.need import sandbox_need
from tasks._shared.sandbox.spec import BoxSpec, Programs


async def test_a_command_is_confined() -> None:
    async with opened() as sandbox:
        box = await sandbox.create(hostname=HOSTNAME, cwd="/tmp")
        script = "grep -E '^(Cap|Seccomp:)' /proc/self/status; pwd; ls /proc/self/fd; cat /etc/passwd"
        result = await box.run(Command(("bash", "-c", script)))
        words = result.stdout.decode().split()
        status = dict(zip(words[::2], words[1::2], strict=False))
        for name in ("CapPrm:", "CapEff:", "CapBnd:"):
            assert (
                int(status[name], 16) == linux.CAP_MASK == 0xA80425FB - (1 << 27)
            )  # Docker's, without mknod
        assert (int(status["CapInh:"], 16), int(status["CapAmb:"], 16), status["Seccomp:"]) == (0, 0, "2")
        assert words[12:] == ["/tmp", "0", "1", "2", "3"]  # 3 is ls's own
        assert b"No such file" in result.stderr
        await box.destroy()


async def test_the_first_process_holds_nothing_of_the_host() -> None:
    async with opened() as sandbox:
        box = await sandbox.create(hostname=HOSTNAME)
        script = "readlink /proc/1/fd/*; tr '\\0' '\\n' < /proc/1/environ; tr '\\0' ' ' < /proc/1/cmdline"
        lines = (await box.run(Command(("bash", "-c", script)))).stdout.decode().splitlines()
        assert lines[0].startswith("pipe:") and lines[1:3] == ["/dev/null"] * 2
        assert {line.split("=")[0] for line in lines[3:-1]} <= {"PATH", "HOME", "PWD"}
        assert lines[-1].split() == ["bash"]
        await box.destroy()


async def test_output_is_capped_and_the_rest_thrown_away() -> None:
    async with opened() as sandbox:
        box = await sandbox.create(hostname=HOSTNAME, caps=Caps(output=1000))
        result = await box.run(Command(("bash", "-c", "head -c 5000000 /dev/zero; echo e >&2; exit 3")))
        assert (len(result.stdout), result.stderr, result.code) == (1000, b"e\n", 3)
        assert result.truncated and not result.timed_out
        await box.destroy()


async def test_a_command_ends_with_its_process_not_with_its_output() -> None:
    async with opened() as sandbox:
        box = await sandbox.create(hostname=HOSTNAME)
        async with asyncio.timeout(30):
            result = await box.run(Command(("bash", "-c", "sleep 60 & echo done"), timeout=60))
        assert (result.stdout, result.code, result.lingering) == (b"done\n", 0, True)
        await box.destroy()


async def test_a_command_is_killed_at_its_deadline() -> None:
    async with opened() as sandbox:
        box = await sandbox.create(hostname=HOSTNAME)
        result = await box.run(Command(("bash", "-c", "echo a; trap '' TERM INT; sleep 60"), timeout=0.5))
        assert (result.stdout, result.timed_out, result.code) == (b"a\n", True, 137)
        assert (await box.run(Command(("echo", "b")))).stdout == b"b\n"
        await box.destroy()


async def test_input_arguments_and_what_cannot_start() -> None:
    async with opened() as sandbox:
        box = await sandbox.create(hostname=HOSTNAME)
        assert (await box.run(Command(("wc", "-c"), stdin=b"x" * 3_000_000))).stdout == b"3000000\n"
        assert (await box.run(Command(("cat",)))).stdout == b""
        assert (await box.run(Command(("echo", "x" * 200_000)))).code == 126
        assert (await box.run(Command(("/no/such/program",)))).code == 127
        assert (
            await box.run(Command(("sh", "-c", "echo o; echo e >&2"), merge_stderr=True))
        ).stdout == b"o\ne\n"
        assert (await box.run(Command(("sh", "-c", "kill -9 $$")))).code == 137
        await box.destroy()
        with pytest.raises(SandboxFault, match="gone"):
            await box.run(Command(("true",)))
        await box.destroy()


async def test_a_sandbox_that_cannot_prove_itself_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened() as sandbox:
        for lie in ("READY 1 other x ro 0 0 2", "READY 7 $HOSTNAME $m $w $b $e $s", "", "READY"):
            monkeypatch.setattr(bwrap_box, "HANDSHAKE", f'read -r m < {{marker}}; echo "{lie}"\n')
            with pytest.raises(SandboxFault, match="no proof"):
                await sandbox.create(hostname=HOSTNAME)
        hello = 'read -r m < {marker}; echo "READY 1 $HOSTNAME $m ro'
        for caps, what in (("000001ffffffffff 0 2", "not confined"), ("0 0 0", "not confined")):
            monkeypatch.setattr(bwrap_box, "HANDSHAKE", f'{hello} {caps}"\n')
            with pytest.raises(SandboxFault, match=what):
                await sandbox.create(hostname=HOSTNAME)


async def test_a_folder_without_a_marker_is_no_system(tmp_path: Path) -> None:
    async with opened() as sandbox:
        with pytest.raises(SandboxFault, match="no root file system of the harness"):
            await sandbox.backend.create(BoxSpec(tmp_path, HOSTNAME))
        with pytest.raises(SandboxFault, match="container image"):
            await sandbox.backend.create(BoxSpec("ubuntu", HOSTNAME))


async def test_every_backends_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    images = {"docker": "x", "podman": MissingPart("no image"), "bwrap": host_python()}
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MissingPart) as caught:
        async with open_sandbox(images):
            raise AssertionError("opened")
    lines = [line.strip() for line in str(caught.value).splitlines()]
    assert lines[1] == "docker: docker is not on PATH"
    assert lines[2] == "podman: no image"
    assert lines[3].startswith("bwrap: bwrap is not on PATH")
    with pytest.raises(MissingPart, match="chroot is none of"):
        async with open_sandbox(images, "chroot"):
            raise AssertionError("opened")


async def test_a_daemon_that_does_not_answer_is_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = tmp_path / "docker"
    client.write_text("#!/bin/sh\necho 'Cannot connect to the daemon' >&2\nexit 1\n")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(MissingPart, match="docker: docker version: Cannot connect to the daemon"):
        async with open_sandbox({"docker": "x"}):
            raise AssertionError("opened")


def test_a_daemon_that_is_silent_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = tmp_path / "docker"
    client.write_text("#!/bin/sh\nexec sleep 600\n")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(container, "CALL_S", 0.2)
    told = sandbox_need(lambda: {"docker": "x"}, "auto", "start the docker daemon").missing()
    assert told is not None and told.endswith("docker: docker version does not answer")


async def test_a_backend_that_shows_the_host_is_rejected() -> None:
    class Liar:
        name, version, alive = "liar", "1", True
        spec = BoxSpec("x", HOSTNAME)

        async def create(self, spec: BoxSpec) -> Liar:
            self.spec = spec
            return self

        async def run(self, command: Command) -> object:
            process = await asyncio.create_subprocess_exec(*command.argv, stdout=-1, stderr=-1)
            stdout, stderr = await process.communicate()
            return type("R", (), {"stdout": stdout, "stderr": stderr, "code": 0})

        async def destroy(self) -> None: ...

    assert "is called" in await probe.trial(Liar(), "x")  # type: ignore[arg-type]


async def test_one_shot_sandboxes_need_no_root() -> None:
    """The flavour for ordinary users; root's own files (a Python in its home) are out of its reach."""
    from tasks._shared.sandbox.bwrap_user import UserBwrap

    python = shutil.which("python3", path="/usr/bin")
    if python is None:
        pytest.skip("no Python under /usr")
    backend = UserBwrap("")
    box = await backend.create(BoxSpec(Programs((Path("/usr"),)), HOSTNAME, "/tmp"))
    program = b"import os, socket; print(os.getuid(), socket.gethostname(), len(os.listdir('/proc')) > 0)"
    result = await box.run(Command((python, "-I", "-"), stdin=program, timeout=20))
    if b"Operation not permitted" in result.stderr or b"No permissions" in result.stderr:
        pytest.skip(result.stderr.decode())
    assert result.stdout.split() == [b"65534", HOSTNAME.encode(), b"True"], result.stderr
    for reach in (b"open('/etc/passwd')", b"open('/x', 'w')", b"import os; os.setuid(0)"):
        assert (await box.run(Command((python, "-I", "-"), stdin=reach, timeout=20))).code == 1
    assert (await box.run(Command(("sleep", "60"), timeout=0.3))).timed_out
    with pytest.raises(EnvironmentFault):
        await box.terminal(("bash",), {})
    await box.destroy()


def test_importing_the_sandbox_is_cheap() -> None:

    script = (
        "import sys, tasks._shared.sandbox; print(len({'pandas', 'numpy', 'aiohttp'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"
