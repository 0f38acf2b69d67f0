"""Makes the user namespace of a sandbox: its root is an ordinary user of the host."""

from __future__ import annotations

import os
from pathlib import Path

from tasks._shared.sandbox import linux
from tasks._shared.sandbox.user_ids import SIZE


class UserNamespace:
    """A user namespace that is being made: a child process holds it until a descriptor does.

    Attributes:
        users: descriptor of the namespace, once it is mapped.
    """

    def __init__(self, owner: int) -> None:
        """Start the process.

        Args:
            owner: the host's user to whom the kernel counts what is used inside.
        """
        self.users = -1
        self._says, says = os.pipe()
        hears, self._hears = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            try:
                os.close(self._says)
                os.close(self._hears)
                linux.prctl(linux.PR_SET_SECUREBITS, linux.SECBIT_NO_SETUID_FIXUP)
                os.setresgid(owner, owner, owner)
                os.setresuid(owner, owner, owner)
                linux.unshare(linux.CLONE_NEWUSER)
                os.write(says, b"made")
                os.read(hears, 1)  # until the other side closes it or dies
            except OSError as error:
                os.write(says, str(error).encode())
            finally:
                os._exit(0)
        os.close(says)
        os.close(hears)

    def map(self, first: int) -> None:
        """Wait for the namespace and map its ids.

        Args:
            first: the host's id of the namespace's root; those up to 65535 follow.

        Raises:
            RuntimeError: the kernel made no namespace.
        """
        said = os.read(self._says, 4096)
        if said != b"made":
            reason = said.decode("utf-8", "replace")
            raise RuntimeError(f"no user namespace can be made (sysctl user.max_user_namespaces): {reason}")
        for kind in ("uid_map", "gid_map"):
            Path(f"/proc/{self._child}/{kind}").write_text(f"0 {first} {SIZE}\n")
        self.users = os.open(f"/proc/{self._child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)

    def end(self) -> None:
        """End the child; the descriptor now holds the namespace."""
        os.close(self._says)
        os.close(self._hears)
        os.waitpid(self._child, 0)


def become_namespace_root() -> None:
    """Become root of the user namespace this process has joined, without rights on the host."""
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
