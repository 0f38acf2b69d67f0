"""The resource limits of everything in a sandbox."""

from __future__ import annotations

import resource

# Soft and hard. Limits that the kernel counts by user apply to a whole sandbox, as its user ids are its own;
# the number of open files is counted by process.
_LIMITS = {
    resource.RLIMIT_SIGPENDING: (1024, 1024),
    resource.RLIMIT_MSGQUEUE: (819_200, 819_200),
    resource.RLIMIT_MEMLOCK: (8 << 20, 8 << 20),
    resource.RLIMIT_NOFILE: (1024, 4096),
}


def sandbox_limits() -> dict[int, tuple[int, int]]:
    """Soft and hard resource limits of a sandbox, none above what this process has itself."""
    found: dict[int, tuple[int, int]] = {}
    for kind, (soft, hard) in _LIMITS.items():
        held = resource.getrlimit(kind)[1]
        most = hard if held == resource.RLIM_INFINITY else min(hard, held)
        found[kind] = (min(soft, most), most)
    return found


def lower_limits() -> None:
    """Lower this process's resource limits to those of a sandbox, and so of all its children."""
    for kind, limits in sandbox_limits().items():
        resource.setrlimit(kind, limits)
