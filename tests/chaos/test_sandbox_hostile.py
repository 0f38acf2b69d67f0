"""What a model may do to its system stays there: nothing reaches the host, the next system is untouched."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_scripts import HOSTILE
from sandboxes import HOSTNAME, leftovers, soon, stages
from sandboxes import system as sandboxes

from harness.data import cache_folder
from tasks._shared.sandbox import Box, Caps, Command, Sandbox
from tasks._shared.sandbox.bwrap import Bwrap
from tasks._shared.sandbox.shell import Output, Shell
from tasks.os.image import built_root

CAPS = Caps(memory_mb=128, pids=48, cpus=0.5, disk_mb=32)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A file on the host that no sandbox may see or change."""
    path = tmp_path / "canary"
    path.write_text("host")
    yield path
    assert path.read_text() == "host"


FORKS = """
import os, signal
children = []
try:
    while len(children) < {count}:
        if not (child := os.fork()):
            signal.pause()
        children.append(child)
except BlockingIOError:
    pass
print(len(children), flush=True)
for child in children:
    os.kill(child, signal.SIGKILL)
"""
"""Starts processes until no more are allowed, and says how many there were."""


async def capped(box: Box) -> None:
    """Prove that the caps hold, gently, before anything hostile runs."""
    count = CAPS.pids + 5
    result = await box.run(Command(("python3", "-c", FORKS.format(count=count)), timeout=60))
    assert 0 < int(result.stdout) < count, result  # a shell would try again until earlier ones have ended
    pieces = await box.run(
        Command(("python3", "-c", f"x = bytearray({CAPS.memory_mb + 16} << 20)"), timeout=20)
    )
    assert pieces.code != 0
    full = await box.run(Command(("dd", "if=/dev/zero", "of=/full", "bs=1M", f"count={CAPS.disk_mb + 4}")))
    assert b"No space left" in full.stderr
    await box.run(Command(("rm", "/full")))


async def attack(sandbox: Sandbox, script: str, timeout: float = 5.0) -> tuple[Output, bytes]:
    """Run a script in a system of its own, then ask that system to say hello."""
    box = await sandbox.create(hostname=HOSTNAME, caps=CAPS)
    shell = Shell(box)
    try:
        await shell.start()
        output = await shell.run(script, timeout)
        hello = await box.run(Command(("/bin/echo", "hello"), timeout=20)) if box.alive else None
    finally:
        await shell.close()
        await box.destroy()
    return output, hello.stdout if hello else b""


async def unharmed(sandbox: Sandbox, canary: Path) -> None:
    """The next system works and nothing of the last one is left but the place made for the next."""
    backend = sandbox.backend
    assert isinstance(backend, Bwrap)
    assert leftovers(besides=backend.prepared) == []
    output, hello = await attack(sandbox, f"echo sum $((40 + 2)); ls {canary}")
    assert "sum 42\n" in output.text
    assert "No such file" in output.text
    assert hello == b"hello\n"
    assert leftovers(besides=backend.prepared) == []


async def test_caps_hold() -> None:
    async with sandboxes() as sandbox:
        box = await sandbox.create(hostname=HOSTNAME, caps=CAPS)
        await capped(box)
        await box.destroy()
    assert leftovers() == []


async def test_hostile_scripts_are_contained(canary: Path) -> None:
    failed: dict[str, str] = {}
    async with sandboxes() as sandbox:
        slots = asyncio.Semaphore(6)

        async def one(name: str) -> None:
            async with slots:
                output, _ = await attack(sandbox, HOSTILE[name], 4.0)
            if len(output.text) > CAPS.output or re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", output.text):
                failed[name] = repr(output)[:300]

        box = await sandbox.create(hostname=HOSTNAME, caps=CAPS)
        await capped(box)
        await asyncio.gather(*map(one, HOSTILE))
        assert box.alive  # a neighbour of all of them
        assert (await box.run(Command(("cat", "/etc/hostname")))).stdout.decode().strip() == HOSTNAME
        await box.destroy()
        assert failed == {}
        await unharmed(sandbox, canary)


REACHING = {
    "mount": ["mount -t tmpfs none /mnt", "mount --bind / /mnt", "mount -o remount,rw /proc/sys"],
    "namespaces": ["unshare -Ur true", "unshare -m true", "unshare -p true", "nsenter -t 1 -m true"],
    "devices": ["mknod /tmp/sda b 254 0", "mknod /tmp/mem c 1 1", "ls /dev/vda", "ls /dev/sda"],
    "kernel": [
        "echo '|/tmp/x' > /proc/sys/kernel/core_pattern",
        "echo 1 > /proc/sys/vm/drop_caches",
        "echo b > /proc/sysrq-trigger",
        "echo 1 > /proc/irq/default_smp_affinity",
        "dmesg",
        "date -s 2001-01-01",
        "hostname evil",
        "python3 -c 'import ctypes; exit(ctypes.CDLL(None).ptrace(16, 1, 0, 0) < 0)'",
        "python3 -c 'import ctypes; exit(ctypes.CDLL(None).syscall(425, 1, 0) < 0)'",
    ],
    "network": [
        "curl -sSm 2 http://192.0.2.1",
        "curl -sSm 2 http://127.0.0.1:22",
        "python3 -c 'import socket; socket.create_connection((\"192.0.2.1\", 53), 2)'",
    ],
}


@pytest.mark.parametrize("name", REACHING)
async def test_every_reach_for_the_host_is_refused(name: str, canary: Path) -> None:
    pattern = core_pattern()
    async with sandboxes() as sandbox:
        for command in REACHING[name]:
            output, hello = await attack(sandbox, f"{command} && echo REACHED", 10)
            assert "REACHED" not in output.text, command
            assert hello == b"hello\n"
        await unharmed(sandbox, canary)
    assert core_pattern() == pattern


async def test_the_hosts_processes_are_invisible(canary: Path) -> None:
    async with sandboxes() as sandbox:
        script = (
            "ls -d /proc/[0-9]* | wc -l; cat /proc/*/environ | tr '\\0' '\\n' | sort -u; "
            f"ls /proc/*/root{canary} /proc/*/cwd{canary} 2>/dev/null; kill -0 {os.getpid()}"
        )
        output, _ = await attack(sandbox, script)
        lines = output.text.splitlines()
        assert int(lines[0]) <= 6
        assert str(canary) not in output.text
        assert "No such process" in output.text or os.getpid() < 20
        secrets = {
            f"{k}={v}" for k, v in os.environ.items() if k not in ("PATH", "HOME", "TERM", "PWD", "SHLVL")
        }
        assert not secrets & set(lines)
        await unharmed(sandbox, canary)


CHROOT = """python3 - <<'END'
import os
os.makedirs("/jail", exist_ok=True)
top = os.open("/", os.O_RDONLY)
os.chroot("/jail")
os.fchdir(top)
for _ in range(200):
    os.chdir("..")
os.chroot(".")
print(sorted(os.listdir("/"))[:3], os.path.exists("/usr/lib/harness-root"))
END"""


async def test_a_chroot_escape_ends_in_the_same_system(canary: Path) -> None:
    async with sandboxes() as sandbox:
        output, _ = await attack(sandbox, f"{CHROOT}\nls {canary}")
        assert "True" in output.text
        assert "No such file" in output.text
        await unharmed(sandbox, canary)


OVERWRITE = """python3 - <<'END' &
import glob, os, time
end = time.monotonic() + 3
while time.monotonic() < end:
    for exe in glob.glob("/proc/[0-9]*/exe"):
        try:
            if "python" in os.readlink(exe) and not os.path.samefile(exe, "/usr/bin/python3"):
                with open(exe, "r+b") as file:
                    file.write(b"owned")
        except OSError:
            pass
END
printf '#!/proc/self/exe\\n' > /tmp/trap
chmod +x /tmp/trap
mv /tmp/trap /bin/bash"""


def host_python() -> str:
    """Hash of the interpreter that this process, and the sandbox's fork server, run."""
    return hashlib.sha256(Path(sys.executable).resolve().read_bytes()).hexdigest()


def core_pattern() -> str:
    return Path("/proc/sys/kernel/core_pattern").read_text()


async def test_entering_processes_cannot_be_used_to_write_the_hosts_python(canary: Path) -> None:
    before = host_python()
    async with sandboxes() as sandbox:
        box = await sandbox.create(hostname=HOSTNAME, caps=CAPS)
        shell = Shell(box)
        await shell.start()
        await shell.run(OVERWRITE, 5)
        for _ in range(100):
            await box.run(Command(("bash", "-c", "true"), timeout=5))
        await shell.close()
        await box.destroy()
        await unharmed(sandbox, canary)
    assert host_python() == before


@pytest.mark.parametrize("times", [20, pytest.param(200, marks=pytest.mark.full)])
async def test_creates_in_a_row_never_show_the_host(times: int, canary: Path) -> None:
    async with sandboxes() as sandbox:
        marker = (built_root(cache_folder()) / "usr/lib/harness-root").read_text().strip()
        for number in range(times):
            hostname = f"{number:012x}"
            box = await sandbox.create(hostname=hostname, caps=CAPS)
            shell = Shell(box)
            await shell.start()
            seen = await shell.run(f"cat /usr/lib/harness-root; uname -n; echo $$; ls {canary}", 10)
            await shell.close()
            await box.destroy()
            lines = seen.text.splitlines()
            assert lines[:2] == [marker, hostname]
            assert int(lines[2]) < 10
            assert "No such file" in lines[3]
    assert leftovers() == []


async def test_64_live_at_once() -> None:
    async with sandboxes() as sandbox:
        names = [f"{number:012x}" for number in range(64)]
        boxes = await asyncio.gather(*(sandbox.create(hostname=name, caps=CAPS) for name in names))
        shells = [Shell(box) for box in boxes]
        await asyncio.gather(*(shell.start() for shell in shells))
        said = await asyncio.gather(*(shell.run("uname -n > /me; cat /me", 30) for shell in shells))
        assert [output.text.strip() for output in said] == names
        assert all(box.alive for box in boxes)
        await asyncio.gather(*(shell.close() for shell in shells))
        await asyncio.gather(*(box.destroy() for box in boxes))
    assert leftovers() == []


OWNER = """
import asyncio, os, signal, sys
from tasks._shared.sandbox import Command, host_python, open_sandbox
from tasks._shared.sandbox.shell import Shell

async def main():
    async with open_sandbox({"bwrap": host_python()}) as sandbox:
        box = await sandbox.create(hostname="0123456789ab")
        await box.run(Command(("bash", "-c", "setsid sleep 1000 > /dev/null 2>&1 &")))
        print("ready", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_a_killed_owner_leaves_nothing_behind() -> None:
    async with sandboxes():
        pass  # or a skip
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", OWNER), stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 60) == b"ready\n"
    assert leftovers(process.pid) != []
    process.kill()
    await process.wait()
    # Its processes die by themselves, the fork server's hold being gone.
    await soon(lambda: not any(re.fullmatch(r"[0-9]+", found) for found in leftovers(process.pid)))
    async with sandboxes():  # the next start removes the empty groups and folder
        assert leftovers(process.pid) == []
        assert stages(process.pid) == []


async def test_cancellation_while_a_sandbox_is_made_leaves_nothing() -> None:
    async with sandboxes() as sandbox:
        for _ in range(8):
            making = asyncio.ensure_future(sandbox.create(hostname=HOSTNAME, caps=CAPS))
            await asyncio.sleep(0.003)
            making.cancel()
            for box in await asyncio.gather(making, return_exceptions=True):
                if not isinstance(box, BaseException):
                    await box.destroy()
        assert leftovers() == []
