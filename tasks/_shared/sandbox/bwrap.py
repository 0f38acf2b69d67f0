"""Sandboxes made with bubblewrap as root: overlay file system, control groups, no network."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tasks._shared.reachable import reachable_folder
from tasks._shared.sandbox import cgroups, seccomp, user_ids
from tasks._shared.sandbox.bwrap_box import BwrapBox
from tasks._shared.sandbox.fork_client import ForkClient
from tasks._shared.sandbox.prepared_cgroup import PreparedCgroup
from tasks._shared.sandbox.reply import Reply
from tasks._shared.sandbox.spec import BoxSpec, Caps, SandboxFault

_CREATE_S = 60.0


class Bwrap:
    """The `bwrap` backend.

    Attributes:
        mount_folder: folder over which each sandbox mounts its own file system, in a namespace of its own.
        fork_client: asks the fork server, which makes sandboxes and enters them.
        filter: the system call filter, in hexadecimal.
        waiting: what is prepared for the next sandbox; None while nothing is.
        meminfo: /proc/meminfo as it was at the start, in hexadecimal. Sandboxes show this copy: the memory in
            use, which some problems ask for, would otherwise change with the host's load.
    """

    name = "bwrap"

    def __init__(self, layout: cgroups.Layout, version: str) -> None:
        self.version = version
        self.filter = seccomp.program().hex()
        self.meminfo = Path("/proc/meminfo").read_bytes().hex()
        # bwrap has no rights on the host
        self.mount_folder = Path(tempfile.mkdtemp(prefix=cgroups.owner_prefix(), dir=reachable_folder()))
        self.mount_folder.chmod(0o711)
        self.fork_client = ForkClient()
        self._layout = layout
        self._boxes: set[BwrapBox] = set()
        self._number = 0
        self.waiting: PreparedCgroup | None = None
        self._closed = False

    async def start(self) -> None:
        """Remove what dead processes left behind, and start the fork server."""
        await cgroups.reap(self._layout)
        for folder in self.mount_folder.parent.glob("harness-box-*"):
            if cgroups.abandoned(folder.name):
                with contextlib.suppress(OSError):
                    folder.rmdir()  # empty on the host: a sandbox's mounts are its own
        await self.fork_client.start()
        self.waiting = self._prepare()

    async def create(self, spec: BoxSpec) -> BwrapBox:
        """Make a sandbox and wait for the handshake of the process inside."""
        prepared = await self._take_waiting()
        box = BwrapBox(self, spec, self._layout.group(prepared.name, spec.caps), prepared)
        self._boxes.add(box)
        try:
            await asyncio.wait_for(box.start(), _CREATE_S)
        except TimeoutError as error:
            await box.destroy()
            raise SandboxFault(f"no sandbox within {_CREATE_S:.0f} s") from error
        except OSError as error:  # such as a pipe without a reader, or no such process: it has ended already
            await box.destroy()
            raise SandboxFault(f"the sandbox could not be made, or ended meanwhile: {error}") from error
        except BaseException:
            await box.destroy()
            raise
        if self.waiting is None and not self._closed:
            with contextlib.suppress(SandboxFault):  # the next `create` reports it
                self.waiting = self._prepare()
        return box

    @property
    def prepared(self) -> str:
        """Name of the control groups prepared for the next sandbox; empty when there are none."""
        return self.waiting.name if self.waiting else ""

    async def _take_waiting(self) -> PreparedCgroup:
        """What was prepared for this sandbox; made now where nothing was, or where the fork server failed."""
        waiting, self.waiting = self.waiting, None
        if waiting is None:
            return self._prepare()
        try:
            if await waiting.ready():
                return waiting
            await self._remove(waiting)
        except asyncio.CancelledError:
            await self._put_back(waiting)
            raise
        return self._prepare()

    async def _put_back(self, waiting: PreparedCgroup) -> None:
        """Keep for the next sandbox what was prepared for one that was given up."""
        if self.waiting is None and not self._closed:
            self.waiting = waiting
        else:
            await waiting.release()
            await self._remove(waiting)

    async def _remove(self, waiting: PreparedCgroup) -> None:
        """Remove what was prepared for a sandbox that is not made."""
        if await self._layout.group(waiting.name, Caps()).remove():
            waiting.ids.close()

    def _prepare(self) -> PreparedCgroup:
        """Make the groups of a sandbox, and have the fork server fill them.

        They are made here, where they are removed: whatever becomes of the fork server and its children, none
        of them makes a group that was removed already.
        """
        self._number += 1
        name = f"{cgroups.owner_prefix()}{id(self):x}-{self._number}"
        claimed = user_ids.claim_range()
        group = self._layout.group(name, Caps())
        try:
            group.make()
        except OSError as error:
            claimed.close()
            raise SandboxFault(f"no control group can be made: {error}") from error
        return PreparedCgroup(name, claimed, self._ask_to_prepare(group.folders, claimed.first))

    async def _ask_to_prepare(self, folders: Sequence[Path], first: int) -> Reply:
        request = {"op": "prepare", "folders": [str(folder) for folder in folders], "ids": first}
        reply = await self.fork_client.ask(request, [])
        try:
            reply.sender = (await reply.first())["ready"]
        except BaseException:
            reply.close()
            raise
        return reply

    async def close(self) -> None:
        """Destroy every sandbox, then end the fork server; each step is taken whatever the others came to."""
        async with contextlib.AsyncExitStack() as steps:  # from the last to the first
            steps.callback(self._remove_mount_folder)
            steps.push_async_callback(self.fork_client.close)
            steps.push_async_callback(self._close_waiting)
            for box in self._boxes:
                steps.push_async_callback(box.destroy)

    async def _close_waiting(self) -> None:
        self._closed = True
        waiting, self.waiting = self.waiting, None
        if waiting is not None:
            await waiting.release()
            await self._remove(waiting)

    def _remove_mount_folder(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.mount_folder.rmdir()

    def forget(self, box: BwrapBox) -> None:
        """Drop a destroyed sandbox."""
        self._boxes.discard(box)
