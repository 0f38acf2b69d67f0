"""Mounts the file system and the devices of a sandbox.

A process of the fork server does it, in a mount namespace of its own, below one folder.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks._shared.sandbox import linux
from tasks._shared.sandbox.user_namespace import UserNamespace

PTYS = 24
"""Terminals of one sandbox. All sandboxes of a machine share 3,072 (kernel.pty.max less the reserve)."""

_NODES = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9, "tty": 0}
_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "core": "/proc/kcore",
    "ptmx": "pts/ptmx",
}


class SandboxFilesystem:
    """The folder in which the file system of one sandbox is mounted.

    Attributes:
        users: descriptor of the sandbox's user namespace.
    """

    def __init__(self, folder: str, disk_mb: int, first: int, users: int) -> None:
        """Enter a new mount namespace and mount the folder in it.

        Args:
            folder: on the host; the current folder from now on.
            disk_mb: what may be written to the sandbox's file system.
            first: the host's id of the user namespace's root.
            users: descriptor of the user namespace.
        """
        self.users = users
        self._first = first
        self._root = first  # the host's id of the sandbox's root
        linux.unshare(linux.CLONE_NEWNS)
        linux.mount(None, "/", None, linux.MS_REC | linux.MS_PRIVATE)
        size = f"size={disk_mb}m,nr_inodes=200000,mode=755"
        linux.mount("tmpfs", folder, "tmpfs", linux.MS_NOSUID, size)
        os.chdir(folder)
        Path("empty").mkdir(0o555)

    def mount_overlay(self, image: str, files: Mapping[str, str]) -> None:
        """Mount a size-limited writable layer over a root file system, with owners mapped to the ids inside.

        Where owners cannot be mapped, the ids inside are the host's. The user namespace is then owned by a
        user id of its own, to which the kernel counts what is used inside.
        """
        for name in ("image", "upper", "work", "root"):
            Path(name).mkdir(0o755)
        try:
            linux.mount_mapped(image, "image", self.users)
            self._mount_layers()
        except OSError:  # an old kernel, or a file system such as overlay that cannot map owners
            os.close(self.users)
            counted = UserNamespace(self._first)
            counted.map(0)
            counted.end()
            self.users = counted.users
            self._root = 0
            linux.mount(image, "image", None, linux.MS_BIND)
            self._mount_layers()
        for path, text in files.items():
            Path("root", path).write_text(text)

    def _mount_layers(self) -> None:
        os.chown("upper", self._root, self._root)
        # Relative names: /proc/mounts inside then shows nothing of the host's folders.
        layers = "lowerdir=image,upperdir=upper,workdir=work,xino=off"
        linux.mount("overlay", "root", "overlay", linux.MS_NODEV, layers)

    def mount_programs(self, folders: Sequence[str]) -> None:
        """Bind folders of the host, which the sandbox's root could not reach, one by one."""
        for number, folder in enumerate(folders):
            place = Path("programs", str(number))
            place.mkdir(parents=True)
            linux.mount(folder, str(place), None, linux.MS_BIND | linux.MS_REC)

    def mount_devices(self) -> None:
        """Make /dev: the harmless devices, and a limited number of terminals that only the sandbox has."""
        folder = Path("dev")
        for name in ("", "pts", "shm"):
            (folder / name).mkdir(0o755)
        for name, minor in _NODES.items():
            self._node(folder / name, minor)
        for name, target in _LINKS.items():
            (folder / name).symlink_to(target)
        options = f"newinstance,ptmxmode=0666,mode=620,max={PTYS}"
        linux.mount("devpts", "dev/pts", "devpts", linux.MS_NOSUID | linux.MS_NOEXEC, options)
        for name in ("", "shm", "pts", "pts/ptmx", *_LINKS):
            os.lchown(folder / name, self._root, self._root)

    def _node(self, path: Path, minor: int) -> None:
        try:
            os.mknod(path, stat.S_IFCHR, os.makedev(5 if path.name == "tty" else 1, minor))
        except PermissionError:  # in a container
            path.touch()
            linux.mount(f"/dev/{path.name}", str(path), None, linux.MS_BIND)
            return
        os.chown(path, self._root, self._root)
        path.chmod(0o666)
