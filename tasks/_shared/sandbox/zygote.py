"""The small root process that forks every process of every `bwrap` sandbox.

The harness never forks itself for a sandbox: it is large and threaded, and a process that carries its
open files must not enter one. The zygote is single-threaded, holds one socket, and sees the host
read-only, so that the inmate of a sandbox who gets hold of `/proc/<pid>/exe` of a process on its way in
cannot write to the host's Python (CVE-2019-5736).

A request is a memory file with JSON, sent with the file descriptors it names first; answers go to the
socket among them as JSON lines. A process that has prepared a sandbox's groups takes the second request,
which says what the sandbox is, over that same socket.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from tasks._shared.sandbox import linux
from tasks._shared.sandbox.cgroups import OPTIONAL

_INSIDE = (
    linux.CLONE_NEWNS
    | linux.CLONE_NEWPID
    | linux.CLONE_NEWUTS
    | linux.CLONE_NEWIPC
    | linux.CLONE_NEWNET
    | linux.CLONE_NEWCGROUP
)
_KEPT_WRITABLE = {"cgroup", "cgroup2", "proc", "devpts", "mqueue"}
_MAX_FDS = 8
_TIOCSPTLCK = 0x4004_5431
_TIOCGPTPEER = 0x5441


class _Refused(Exception):
    """The command could not be started inside; its inmate may have removed it."""


def main() -> None:
    """Seal the view of the host, then serve requests until the harness goes away."""
    control = socket.socket(fileno=int(sys.argv[1]))
    if "--sealed" not in sys.argv:
        _see_host_read_only()
        os.set_inheritable(control.fileno(), True)
        arguments = ["-P", "-m", __spec__.name, sys.argv[1], "--sealed"]
        os.execv(sys.executable, [sys.executable, *arguments])
    _prove_sealed()
    os.set_inheritable(control.fileno(), False)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are reaped by the kernel
    control.send(b"ready")
    while True:
        fds = _received(control)
        if not fds:
            return
        _fork_for(control, fds)


def _received(channel: socket.socket) -> list[int]:
    """The descriptors of the next request, the memory file first; none when the harness hung up."""
    _, fds, _, _ = socket.recv_fds(channel, 64, _MAX_FDS)
    for fd in fds:
        os.set_inheritable(fd, False)  # they arrive inheritable
    return fds


def _see_host_read_only() -> None:
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount(None, "/", None, linux.MS_REC | linux.MS_PRIVATE)
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        point = left.split()[4].encode().decode("unicode_escape")
        if right.split()[0] in _KEPT_WRITABLE:
            continue
        with contextlib.suppress(OSError):
            linux.mount(None, point, None, linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY)


def _prove_sealed() -> None:
    if not os.statvfs("/proc/self/exe").f_flag & os.ST_RDONLY:
        sys.exit("the sandbox's helper could not make the host's file system read-only for itself")


def _fork_for(control: socket.socket, fds: list[int]) -> None:
    if os.fork() == 0:
        reply = fds[1]
        try:
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            linux.prctl(linux.PR_SET_DUMPABLE, 0)
            with os.fdopen(fds[0], "rb") as file:
                request = json.load(file)
            if request["op"] == "prepare":
                _prepare(request, reply)
            else:
                _enter(request, *fds[1:])
        except _Refused as error:
            _tell(reply, {"refused": str(error)})
        except BaseException as error:
            _tell(reply, {"error": f"{type(error).__name__}: {error}"})
        finally:
            os._exit(1)
    for fd in fds:
        os.close(fd)


def _tell(fd: int, message: Mapping[str, Any]) -> None:
    with contextlib.suppress(OSError):
        os.write(fd, json.dumps(message).encode() + b"\n")


# --- making a sandbox -------------------------------------------------------------------------------


def _prepare(request: Mapping[str, Any], reply: int) -> NoReturn:
    """Make the groups and join them, then wait to be told the sandbox, or for the harness to hang up."""
    for folder in request["folders"]:
        Path(folder).mkdir(exist_ok=True)
    _join([os.open(f"{folder}/cgroup.procs", os.O_WRONLY) for folder in request["folders"]])
    _tell(reply, {"ready": os.getpid()})
    with socket.socket(fileno=os.dup(reply)) as channel:
        fds = _received(channel)
    if not fds:
        os._exit(0)
    with os.fdopen(fds[0], "rb") as file:
        _create(json.load(file), reply, *fds[1:])


def _create(request: Mapping[str, Any], reply: int, stdin: int, stdout: int) -> NoReturn:
    """Limit the groups, lay the file system, then become bwrap."""
    for file, value in request["limits"]:
        try:
            Path(file).write_text(value)
        except FileNotFoundError:
            if Path(file).name not in OPTIONAL:
                raise
    if request["root"]:
        _lay_overlay(request["stage"], request["root"], request["disk_mb"], request["files"])
    argv = [part.replace("{info}", "3") for part in request["argv"]]
    for name, text in request["memory"].items():
        fd = os.memfd_create(name)
        os.write(fd, bytes.fromhex(text))
        os.lseek(fd, 0, os.SEEK_SET)
        fd = fcntl.fcntl(fd, fcntl.F_DUPFD, 10)  # inheritable, and clear of the numbers below
        argv = [part.replace(f"{{{name}}}", str(fd)) for part in argv]
    stdin, stdout, reply = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64) for fd in (stdin, stdout, reply))
    for source, target in ((stdin, 0), (stdout, 1), (stdout, 2), (reply, 3)):
        os.dup2(source, target, inheritable=True)
    os.execve(argv[0], argv, {"PATH": os.defpath})


def _join(fds: Sequence[int]) -> None:
    for fd in fds:
        os.write(fd, b"0")
        os.close(fd)


def _lay_overlay(stage: str, root: str, disk_mb: int, files: Mapping[str, str]) -> None:
    """Lay a size-capped writable layer over the root file system, in a mount namespace of its own."""
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount(None, "/", None, linux.MS_REC | linux.MS_PRIVATE)
    quiet = linux.MS_NOSUID | linux.MS_NODEV
    linux.mount("tmpfs", stage, "tmpfs", quiet, f"size={disk_mb}m,nr_inodes=200000,mode=755")
    os.chdir(stage)
    for name in ("image", "upper", "work", "root"):
        Path(name).mkdir(0o755)
    linux.mount(root, "image", None, linux.MS_BIND)
    # Relative names: /proc/mounts inside then shows nothing of the host's folders.
    linux.mount(
        "overlay", "root", "overlay", linux.MS_NODEV, "lowerdir=image,upperdir=upper,workdir=work,xino=off"
    )
    for path, text in files.items():
        Path("root", path).write_text(text)


# --- entering one -----------------------------------------------------------------------------------


def _enter(request: Mapping[str, Any], reply: int, inmate: int, *streams: int) -> None:
    """Start a command inside the sandbox of the process behind the pidfd `inmate`, and report its end."""
    groups = [os.open(f"{folder}/cgroup.procs", os.O_WRONLY) for folder in request["folders"]]
    outside = Path("/proc/self/ns/mnt").stat().st_ino
    if Path(f"/proc/{request['pid']}/ns/mnt").stat().st_ino == outside:
        raise RuntimeError("the sandbox shares the host's mounts")
    linux.setns(inmate, _INSIDE)
    _prove_inside(request)
    child = _spawn(request, groups, reply, list(streams))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _tell(reply, {"pid": child})
    for fd in streams:
        os.close(fd)
    watch = os.pidfd_open(child)
    ready, _, _ = select.select([watch, reply], [], [])
    if reply in ready:  # a word, or the end, of the harness: kill
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError):
                kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    _tell(reply, {"code": os.waitstatus_to_exitcode(status)})
    os._exit(0)


def _prove_inside(request: Mapping[str, Any]) -> None:
    """Refuse to go on unless the root is the sandbox's; whatever its inmate did, the host has neither."""
    if os.uname().nodename != request["hostname"]:
        raise RuntimeError("wrong host name inside: not in the sandbox")
    root = Path("/").stat()
    if [root.st_dev, root.st_ino] != request["root_id"]:
        raise RuntimeError("wrong root inside: not in the sandbox")


def _spawn(request: Mapping[str, Any], groups: list[int], reply: int, streams: list[int]) -> int:
    """Fork into the PID namespace; returns the child once its exec happened."""
    error_read, error_write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _join(groups)
        except OSError:
            os._exit(125)
        try:
            os.close(error_read)
            os.setsid()
            _settle_streams(request, reply, streams)
            _confine(request, keep=error_write)
        except BaseException as error:
            os.write(error_write, f"{type(error).__name__}: {error}".encode("utf-8", "replace")[:4096])
        finally:
            os._exit(126)
    os.close(error_write)
    for fd in groups:
        os.close(fd)
    with os.fdopen(error_read, "rb") as file:
        failure = file.read()
    if failure:
        os.waitpid(child, 0)
        raise _Refused(failure.decode("utf-8", "replace"))
    return child


def _settle_streams(request: Mapping[str, Any], reply: int, streams: list[int]) -> None:
    if request["tty"]:
        master = os.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
        slave = fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 4000, 0, 0))
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        with socket.socket(fileno=os.dup(reply)) as channel:
            socket.send_fds(channel, [b"{}\n"], [master])
        streams = [slave, slave, slave]
    copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64) for fd in streams]
    for target, source in enumerate(copies):
        os.dup2(source, target, inheritable=True)


def _confine(request: Mapping[str, Any], *, keep: int) -> NoReturn:
    """Give up everything that is not the inmate's, then become the command."""
    os.closerange(3, keep)
    os.closerange(keep + 1, 4096)
    os.set_inheritable(keep, False)
    for number in range(1, signal.NSIG):
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_DFL)
    with contextlib.suppress(OSError):  # out of memory, the sandbox's first process dies last
        Path("/proc/self/oom_score_adj").write_text("500")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number, value in request["rlimits"].items():
        resource.setrlimit(int(number), (value, value))
    try:
        os.chdir(request["cwd"])
    except OSError:  # the inmate may have removed it
        os.chdir("/")
    os.umask(0o022)
    linux.load_seccomp(bytes.fromhex(request["seccomp"]))
    linux.drop_capabilities()
    if request["user"]:
        os.setgroups([])
        os.setresgid(*[request["user"]] * 3)
        os.setresuid(*[request["user"]] * 3)
    argv = request["argv"]
    os.execvpe(argv[0], argv, request["env"])


if __name__ == "__main__":
    main()
