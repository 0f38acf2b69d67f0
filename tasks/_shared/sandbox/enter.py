"""Starts a command inside a running sandbox and reports its end; the fork server forks one process for each.

This process stays outside: it is not in the sandbox's process tree, so no program inside can see, stop or
kill it. Only its child is inside, and every wait for the child is bounded until the child has become the
command.
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
_START_S = 15.0  # from fork to exec; a program inside can stop the child meanwhile
_END_S = 10.0


def write_line(fd: int, message: Mapping[str, Any]) -> None:
    """Send the harness one message as a line of JSON."""
    with contextlib.suppress(OSError):
        os.write(fd, json.dumps(message).encode() + b"\n")


def join_cgroups(fds: Sequence[int]) -> None:
    """Move this process into the groups behind the files, and close them."""
    for fd in fds:
        os.write(fd, b"0")
        os.close(fd)


def enter(request: Mapping[str, Any], reply: int, init: int, *streams: int) -> None:
    """Start a command inside the sandbox of the process with the pidfd `init`, and report its end."""
    groups = [os.open(f"{folder}/cgroup.procs", os.O_WRONLY) for folder in request["folders"]]
    outside = Path("/proc/self/ns/mnt").stat().st_ino
    if Path(f"/proc/{request['pid']}/ns/mnt").stat().st_ino == outside:
        raise RuntimeError("the sandbox shares the host's mounts")
    linux.setns(init, _INSIDE)
    _check_inside(request)
    child = _spawn(request, groups, reply, list(streams))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    write_line(reply, {"pid": child})
    for fd in streams:
        os.close(fd)
    watch = os.pidfd_open(child)
    ready, _, _ = select.select([watch, reply], [], [])
    if reply in ready:  # the harness asks for the end, or hung up
        _kill(child)
    write_line(reply, {"code": _wait_for_exit(child, watch)})
    os._exit(0)


def _kill(child: int) -> None:
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            kill(child, signal.SIGKILL)


def _wait_for_exit(child: int, watch: int) -> int:
    """Exit status of a child that has ended or was killed; one that does not end counts as killed."""
    if not select.select([watch], [], [], _END_S)[0]:
        return -signal.SIGKILL
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _check_inside(request: Mapping[str, Any]) -> None:
    """Refuse to go on unless host name and root are the sandbox's, which the host never has."""
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
            # When memory runs out, the sandbox's first process is killed last.
            with contextlib.suppress(OSError):
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
    """The error that the child reports before its exec; empty when the exec succeeded."""
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
    """Give up every right and descriptor that the sandbox must not have, then become the command."""
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
    except OSError:  # a program inside may have removed it
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
