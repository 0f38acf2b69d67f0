"""The harness's command line, as another process runs it."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
from functools import cached_property
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 280.0
LIMITS = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]


def harness(
    cwd: Path, *words: str, site: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command with an empty cache, no mirror and none of this machine's settings.

    Args:
        cwd: the folder it runs in, which also holds the cache.
        words: behind `harness`.
        site: a folder of packages of third parties.
        variables: further ones of the environment.
    """
    env = {key: value for key, value in os.environ.items() if not key.startswith("HARNESS_")}
    env |= {"HARNESS_CACHE": str(cwd / "cache"), "HARNESS_LOCKS": str(cwd / "locks"), **variables}
    if site is not None:
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(site), env.get("PYTHONPATH", ""))))
    return FORKS.run(words, cwd, env)


class Forks:
    """Has commands run by `forking_commands.py`, one after the other; it ends when this process does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def run(self, words: tuple[str, ...], cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Run one command to its end, under the resource limits of this process.

        Raises:
            subprocess.TimeoutExpired: it took too long and was killed.
        """
        limits = [(kind, *resource.getrlimit(kind)) for kind in LIMITS]
        request = json.dumps({"words": words, "cwd": str(cwd), "env": env, "limits": limits}).encode()
        command = ["harness", *words]
        with self._lock, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            with Path(os.devnull).open("rb") as nothing:
                files = [nothing.fileno(), out.fileno(), err.fileno()]
                socket.send_fds(self._channel, [request], files)
            try:
                answer = self._channel.recv(64)
            except BaseException as error:  # the answer may still come, and would be taken for the next one
                self._stop()
                if not isinstance(error, TimeoutError):
                    raise
                raise subprocess.TimeoutExpired(command, LIMIT_S, read(out), read(err)) from None
            assert answer, "the process that forks commands has ended"
            return subprocess.CompletedProcess(command, int(answer), read(out), read(err))

    @cached_property
    def _channel(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(LIMIT_S)
        env = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # numpy's threads would not be in a fork
        with theirs:
            script = [
                sys.executable,
                str(Path(__file__).with_name("forking_commands.py")),
                str(theirs.fileno()),
            ]
            self._server = subprocess.Popen(
                script,
                cwd=ROOT,
                env=env,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        return ours

    def _stop(self) -> None:
        os.killpg(self._server.pid, 9)
        self._server.wait()
        self._channel.close()
        del self._channel


def read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


FORKS = Forks()
