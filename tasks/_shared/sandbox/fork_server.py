"""The small root process that forks every process of every `bwrap` sandbox.

The harness never forks itself for a sandbox: it is large and has threads, and a process with its open files
must not enter one. The fork server has one thread and one socket, and sees the host read-only: a program in a
sandbox that opens `/proc/<pid>/exe` of a process which is entering cannot write to the host's Python
(CVE-2019-5736).

A request is a memory file with JSON, sent together with file descriptors; the first of these is a socket, to
which the answers go as JSON lines. A process that has prepared the groups of a sandbox receives a second
request over the same socket, which describes the sandbox.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from tasks._shared.sandbox import linux
from tasks._shared.sandbox.cgroups import write_limits
from tasks._shared.sandbox.enter import enter, join_cgroups, write_line
from tasks._shared.sandbox.filesystem import SandboxFilesystem
from tasks._shared.sandbox.resource_limits import lower_limits
from tasks._shared.sandbox.spec import Refused
from tasks._shared.sandbox.user_namespace import UserNamespace, become_namespace_root

_KEPT_WRITABLE = {"cgroup", "cgroup2", "proc", "devpts", "mqueue"}
_MAX_FDS = 8


def main() -> None:
    """Make the host's files read-only for this process, then serve requests until the harness hangs up."""
    control = socket.socket(fileno=int(sys.argv[1]))
    if "--read-only" not in sys.argv:
        _remount_read_only()
        os.set_inheritable(control.fileno(), True)
        arguments = ["-P", "-m", __spec__.name, sys.argv[1], "--read-only"]
        os.execv(sys.executable, [sys.executable, *arguments])
    _check_read_only()
    lower_limits()
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


def _remount_read_only() -> None:
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount(None, "/", None, linux.MS_REC | linux.MS_PRIVATE)
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        point = left.split()[4].encode().decode("unicode_escape")
        if right.split()[0] in _KEPT_WRITABLE:
            continue
        with contextlib.suppress(OSError):
            linux.mount(None, point, None, linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY)


def _check_read_only() -> None:
    if not os.statvfs("/proc/self/exe").f_flag & os.ST_RDONLY:
        sys.exit("the sandbox's fork server could not make the host's file system read-only for itself")


def _fork_for(control: socket.socket, fds: list[int]) -> None:
    reply = fds[1]
    try:
        child = os.fork()
    except OSError as error:  # a machine without processes: this request fails, the sandboxes go on
        write_line(reply, {"error": f"no process can be started: {error}"})
        child = -1
    if child == 0:
        try:
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            linux.prctl(linux.PR_SET_DUMPABLE, 0)
            with os.fdopen(fds[0], "rb") as file:
                request = json.load(file)
            if request["op"] == "prepare":
                _prepare(request, reply)
            else:
                enter(request, *fds[1:])
        except Refused as error:
            write_line(reply, {"refused": str(error)})
        except BaseException as error:
            write_line(reply, {"error": f"{type(error).__name__}: {error}"})
        finally:
            os._exit(1)
    for fd in fds:
        os.close(fd)


# --- making a sandbox -------------------------------------------------------------------------------


def _prepare(request: Mapping[str, Any], reply: int) -> NoReturn:
    """Join the groups and make the user ids, then wait for the description of the sandbox or a hang-up."""
    made = UserNamespace(owner=request["ids"])  # made while this process is being moved
    join_cgroups([os.open(f"{folder}/cgroup.procs", os.O_WRONLY) for folder in request["folders"]])
    made.map(request["ids"])
    write_line(reply, {"ready": os.getpid()})
    made.end()
    with socket.socket(fileno=os.dup(reply)) as channel:
        fds = _received(channel)
    if not fds:
        os._exit(0)
    with os.fdopen(fds[0], "rb") as file:
        _create(json.load(file), made.users, reply, *fds[1:])


def _create(request: Mapping[str, Any], users: int, reply: int, stdin: int, stdout: int) -> NoReturn:
    """Limit the groups, mount the file system, then become bwrap without rights on the host."""
    write_limits(request["limits"])
    filesystem = SandboxFilesystem(request["mount_folder"], request["disk_mb"], request["ids"], users)
    if request["root"]:
        filesystem.mount_overlay(request["root"], request["files"])
    filesystem.mount_programs(request["programs"])
    filesystem.mount_devices()
    argv = [part.replace("{info}", "3") for part in request["argv"]]
    for name, text in request["memory"].items():
        fd = os.memfd_create(name)
        os.write(fd, bytes.fromhex(text))
        os.lseek(fd, 0, os.SEEK_SET)
        fd = fcntl.fcntl(fd, fcntl.F_DUPFD, 10)  # inheritable, and above the numbers used below
        argv = [part.replace(f"{{{name}}}", str(fd)) for part in argv]
    stdin, stdout, reply = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64) for fd in (stdin, stdout, reply))
    for source, target in ((stdin, 0), (stdout, 1), (stdout, 2), (reply, 3)):
        os.dup2(source, target, inheritable=True)
    linux.setns(filesystem.users, linux.CLONE_NEWUSER)
    become_namespace_root()
    os.execve(argv[0], argv, {"PATH": os.defpath})


if __name__ == "__main__":
    main()
