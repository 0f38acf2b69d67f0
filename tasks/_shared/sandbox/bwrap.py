"""Sandboxes made with bubblewrap as root: overlay file system, control groups, no network."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks._shared.sandbox import cgroups, seccomp
from tasks._shared.sandbox.berth import Berth
from tasks._shared.sandbox.bwrap_box import BwrapBox
from tasks._shared.sandbox.reply import Reply, send
from tasks._shared.sandbox.spec import BoxSpec, Caps, SandboxFault

_CREATE_S = 60.0
_TOP = str(Path(__file__).resolve().parents[3])


class Bwrap:
    """The `bwrap` backend.

    Attributes:
        stage: folder over which each sandbox mounts its own file system, in a namespace of its own.
        filter: the system call filter, in hexadecimal.
        meminfo: /proc/meminfo as it stood at the start, in hexadecimal. Inside it stands still: what a
            problem asks of the memory in use would else change with the host's load between two looks.
    """

    name = "bwrap"

    def __init__(self, layout: cgroups.Layout, version: str) -> None:
        self.version = version
        self.filter = seccomp.program().hex()
        self.meminfo = Path("/proc/meminfo").read_bytes().hex()
        self.stage = Path(tempfile.mkdtemp(prefix=cgroups.owner_prefix()))
        self._layout = layout
        self._boxes: set[BwrapBox] = set()
        self._number = 0
        self._spare: Berth | None = None
        self._zygote: asyncio.subprocess.Process | None = None
        self._control: socket.socket | None = None

    async def start(self) -> None:
        """Remove what dead owners left, and start the helper process."""
        await cgroups.reap(self._layout)
        for folder in self.stage.parent.glob("harness-box-*"):
            if cgroups.abandoned(folder.name):
                with contextlib.suppress(OSError):
                    folder.rmdir()  # empty on the host: a sandbox's mounts are its own
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._control = ours
        with theirs:
            self._zygote = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "tasks._shared.sandbox.zygote", str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": _TOP},
                stdin=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        hello = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(ours, 64), _CREATE_S)
        if hello != b"ready":
            assert self._zygote.stderr is not None
            reason = (await self._zygote.stderr.read()).decode("utf-8", "replace").strip()
            raise SandboxFault(f"the sandbox's helper did not start: {reason[-500:]}")
        self._spare = self._berth()

    async def create(self, spec: BoxSpec) -> BwrapBox:
        """Make a sandbox and wait for the handshake of the process inside."""
        berth, self._spare = self._spare or self._berth(), None
        box = BwrapBox(self, spec, self._layout.group(berth.name, spec.caps), berth)
        self._boxes.add(box)
        try:
            await asyncio.wait_for(box.start(), _CREATE_S)
        except TimeoutError as error:
            await box.destroy()
            raise SandboxFault(f"no sandbox within {_CREATE_S:.0f} s") from error
        except BaseException:
            await box.destroy()
            raise
        if self._spare is None and self._control is not None:
            self._spare = self._berth()
        return box

    @property
    def prepared(self) -> str:
        """Name of the control groups that wait for the next sandbox; empty when none do."""
        return self._spare.name if self._spare else ""

    def _berth(self) -> Berth:
        self._number += 1
        name = f"{cgroups.owner_prefix()}{id(self):x}-{self._number}"
        return Berth(name, self._prepared(self._layout.group(name, Caps()).folders))

    async def _prepared(self, folders: Sequence[Path]) -> Reply:
        request = {"op": "prepare", "folders": [str(folder) for folder in folders]}
        reply = await self.ask(request, [])
        try:
            reply.sender = (await reply.line())["ready"]
        except BaseException:
            reply.close()
            raise
        return reply

    async def close(self) -> None:
        """Destroy every sandbox, then the helper."""
        for box in list(self._boxes):
            await box.destroy()
        if self._spare is not None:
            await self._spare.leave()
            await self._layout.group(self._spare.name, Caps()).remove()
            self._spare = None
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._zygote is not None:
            try:
                await asyncio.wait_for(self._zygote.wait(), 5)
            except TimeoutError:
                self._zygote.kill()
                await self._zygote.wait()
            self._zygote = None
        with contextlib.suppress(FileNotFoundError):
            self.stage.rmdir()

    async def ask(self, request: Mapping[str, Any], fds: Sequence[int]) -> Reply:
        """Send one request with its descriptors to the helper; its answers come on the reply."""
        if self._control is None:
            raise SandboxFault("the sandbox backend is closed")
        ours, theirs = socket.socketpair()
        try:
            await send(self._control, request, [theirs.fileno(), *fds])
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        return Reply(ours)

    def forget(self, box: BwrapBox) -> None:
        """Drop a destroyed sandbox."""
        self._boxes.discard(box)
