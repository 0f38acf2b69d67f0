"""Claims a range of host user ids for each sandbox, so that the kernel counts each one separately."""

from __future__ import annotations

import errno
import secrets
import socket
from pathlib import Path

from tasks._shared.sandbox.spec import SandboxFault

SIZE = 1 << 16
"""Ids in a range: 0 to 65535 inside."""

# Ids that neither distributions nor systemd assign: 1879048192 to 2147483647.
FIRST, RANGES = 0x7000_0000, 4095


class IdRange:
    """A range of host ids, claimed until it is closed or this process ends.

    Attributes:
        first: the lowest id; 0 where this process may not use the ranges and sandboxes have its own ids.
    """

    def __init__(self, first: int, claim: socket.socket | None) -> None:
        self.first = first
        self._claim = claim

    def close(self) -> None:
        """Release the range, once no process has its ids any more. Idempotent."""
        if self._claim is not None:
            self._claim.close()
            self._claim = None


def claim_range() -> IdRange:
    """Claim a range that no sandbox of any live process in this network namespace has.

    The claim is a name in the abstract socket name space, which the kernel frees with the process.

    Raises:
        SandboxFault: all are claimed.
    """
    if not available():
        return IdRange(0, None)
    start = secrets.randbelow(RANGES)
    try:
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        for step in range(RANGES):
            number = (start + step) % RANGES
            if _claimed(claim, number):
                return IdRange(FIRST + number * SIZE, claim)
    except OSError as error:
        raise SandboxFault(f"no user ids for a sandbox can be claimed: {error}") from error
    claim.close()
    raise SandboxFault(f"all {RANGES} ranges of user ids are claimed by live sandboxes")


def _claimed(claim: socket.socket, number: int) -> bool:
    try:
        claim.bind(f"\0agenttuning-harness-ids-{number}")
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise
    return True


def available() -> bool:
    """Whether the ranges exist in this process's own user namespace; not in a container that has few ids."""
    return all(covers(Path(f"/proc/self/{name}").read_text()) for name in ("uid_map", "gid_map"))


def covers(mapping: str) -> bool:
    extents = [[int(word) for word in line.split()] for line in mapping.splitlines()]
    end = FIRST + RANGES * SIZE
    return any(first <= FIRST and end <= first + count for first, _, count in extents)
