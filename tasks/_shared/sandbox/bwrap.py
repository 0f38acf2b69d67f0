"""Sandboxes made with bubblewrap as root: overlay file system, control groups, no network."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tasks._shared.sandbox import cgroups, seccomp, user_ids
from tasks._shared.sandbox.bwrap_box import BwrapBox
from tasks._shared.sandbox.fork_client import Helper
from tasks._shared.sandbox.prepared_cgroup import Berth
from tasks._shared.sandbox.reply import Reply
from tasks._shared.sandbox.spec import BoxSpec, Caps, SandboxFault

_CREATE_S = 60.0


class Bwrap:
    """The `bwrap` backend.

    Attributes:
        stage: folder over which each sandbox mounts its own file system, in a namespace of its own.
        helper: the process that makes sandboxes and enters them.
        filter: the system call filter, in hexadecimal.
        meminfo: /proc/meminfo as it stood at the start, in hexadecimal. Inside it stands still: what a
            problem asks of the memory in use would else change with the host's load between two looks.
    """

    name = "bwrap"

    def __init__(self, layout: cgroups.Layout, version: str) -> None:
        self.version = version
        self.filter = seccomp.program().hex()
        self.meminfo = Path("/proc/meminfo").read_bytes().hex()
        self.stage = Path(tempfile.mkdtemp(prefix=cgroups.owner_prefix(), dir=_reachable()))
        self.stage.chmod(0o711)
        self.helper = Helper()
        self._layout = layout
        self._boxes: set[BwrapBox] = set()
        self._number = 0
        self._spare: Berth | None = None
        self._closed = False

    async def start(self) -> None:
        """Remove what dead owners left, and start the helper process."""
        await cgroups.reap(self._layout)
        for folder in self.stage.parent.glob("harness-box-*"):
            if cgroups.abandoned(folder.name):
                with contextlib.suppress(OSError):
                    folder.rmdir()  # empty on the host: a sandbox's mounts are its own
        await self.helper.start()
        self._spare = self._berth()

    async def create(self, spec: BoxSpec) -> BwrapBox:
        """Make a sandbox and wait for the handshake of the process inside."""
        berth = await self._place()
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
        if self._spare is None and not self._closed:
            with contextlib.suppress(SandboxFault):  # the next sandbox says why
                self._spare = self._berth()
        return box

    @property
    def prepared(self) -> str:
        """Name of the control groups that wait for the next sandbox; empty when none do."""
        return self._spare.name if self._spare else ""

    async def _place(self) -> Berth:
        """The place that was prepared, or a new one where the helper failed meanwhile."""
        spare, self._spare = self._spare, None
        if spare is None or await spare.ready():
            return spare or self._berth()
        await self._drop(spare)
        return self._berth()

    async def _drop(self, spare: Berth) -> None:
        """Remove what was prepared for a sandbox that will not be."""
        if await self._layout.group(spare.name, Caps()).remove():
            spare.ids.close()

    def _berth(self) -> Berth:
        self._number += 1
        name = f"{cgroups.owner_prefix()}{id(self):x}-{self._number}"
        lent = user_ids.lend()
        return Berth(name, lent, self._prepared(self._layout.group(name, Caps()).folders, lent.first))

    async def _prepared(self, folders: Sequence[Path], first: int) -> Reply:
        request = {"op": "prepare", "folders": [str(folder) for folder in folders], "ids": first}
        reply = await self.helper.ask(request, [])
        try:
            reply.sender = (await reply.first())["ready"]
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
            await self._drop(self._spare)
            self._spare = None
        self._closed = True
        await self.helper.close()
        with contextlib.suppress(FileNotFoundError):
            self.stage.rmdir()

    def forget(self, box: BwrapBox) -> None:
        """Drop a destroyed sandbox."""
        self._boxes.discard(box)


def _reachable() -> str:
    """A folder for temporary files that every user can reach: bwrap runs as nobody of the host."""
    wanted = Path(tempfile.gettempdir()).resolve()
    open_to_all = all(folder.stat().st_mode & 1 for folder in (wanted, *wanted.parents))
    return str(wanted) if open_to_all else "/tmp"
