"""Starts a command inside a sandbox that lives, and reports its end: one process of the helper for each.

The process itself stays outside: it has no place in the sandbox's process tree, so nobody inside can see,
stop or kill it. Only its child is inside, and every wait for the child is bounded until it is the command.
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
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from tasks._shared.sandbox import linux
from tasks._shared.sandbox.spec import Refused
from tasks._shared.sandbox.user_namespace import become_namespace_root

_INSIDE = (
    linux.CLONE_NEWUSER
    | linux.CLONE_NEWNS
    | linux.CLONE_NEWPID
    | linux.CLONE_NEWUTS
    | linux.CLONE_NEWIPC
    | linux.CLONE_NEWNET
    | linux.CLONE_NEWCGROUP
)
_TIOCSPTLCK = 0x4004_5431
_TIOCGPTPEER = 0x5441
_START_S = 15.0  # from the fork to the exec; who is inside can stop the child meanwhile
_END_S = 10.0


def write_line(fd: int, message: Mapping[str, Any]) -> None:
    """Answer the harness with one line."""
    with contextlib.suppress(OSError):
        os.write(fd, json.dumps(message).encode() + b"\n")


def join_cgroups(fds: Sequence[int]) -> None:
    """Move this process into the groups behind the files, and close them."""
    for fd in fds:
        os.write(fd, b"0")
        os.close(fd)


def enter(request: Mapping[str, Any], reply: int, inmate: int, *streams: int) -> None:
    """Start a command inside the sandbox of the process behind the pidfd `inmate`, and report its end."""
    groups = [os.open(f"{folder}/cgroup.procs", os.O_WRONLY) for folder in request["folders"]]
    outside = Path("/proc/self/ns/mnt").stat().st_ino
    if Path(f"/proc/{request['pid']}/ns/mnt").stat().st_ino == outside:
        raise RuntimeError("the sandbox shares the host's mounts")
    linux.setns(inmate, _INSIDE)
    _check_inside(request)
    child = _spawn(request, groups, reply, list(streams))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    write_line(reply, {"pid": child})
    for fd in streams:
        os.close(fd)
    watch = os.pidfd_open(child)
    ready, _, _ = select.select([watch, reply], [], [])
    if reply in ready:  # a word, or the end, of the harness
        _kill(child)
    write_line(reply, {"code": _wait_for_exit(child, watch)})
    os._exit(0)


def _kill(child: int) -> None:
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            kill(child, signal.SIGKILL)


def _wait_for_exit(child: int, watch: int) -> int:
    """Exit status of a child that is at its end; of one that will not die, that of a killed one."""
    if not select.select([watch], [], [], _END_S)[0]:
        return -signal.SIGKILL
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _check_inside(request: Mapping[str, Any]) -> None:
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
            join_cgroups(groups)
        except OSError:
            os._exit(125)
        try:
            os.close(error_read)
            os.setsid()
            with contextlib.suppress(OSError):  # out of memory, the sandbox's first process dies last
                Path("/proc/self/oom_score_adj").write_text("500")
            become_namespace_root()
            _set_up_streams(request, reply, streams)
            _confine(request, keep=error_write)
        except BaseException as error:
            os.write(error_write, f"{type(error).__name__}: {error}".encode("utf-8", "replace")[:4096])
        finally:
            os._exit(126)
    os.close(error_write)
    for fd in groups:
        os.close(fd)
    failure = _startup_error(error_read)
    if failure:
        _kill(child)
        _wait_for_exit(child, os.pidfd_open(child))
        raise Refused(failure.decode("utf-8", "replace"))
    return child


def _startup_error(pipe: int) -> bytes:
    """What the child says before its exec; nothing when that succeeded."""
    data, end = b"", time.monotonic() + _START_S
    while True:
        if not select.select([pipe], [], [], max(end - time.monotonic(), 0))[0]:
            data = b"the command was stopped while it started"
            break
        more = os.read(pipe, 4096)
        if not more:
            break
        data += more
    os.close(pipe)
    return data


def _set_up_streams(request: Mapping[str, Any], reply: int, streams: list[int]) -> None:
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
