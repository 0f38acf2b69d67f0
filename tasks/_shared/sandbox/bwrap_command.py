"""The command line with which bubblewrap makes a sandbox from the mounts that were prepared for it."""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path

from tasks._shared.sandbox import linux
from tasks._shared.sandbox.spec import ENVIRONMENT, MARKER, BoxSpec, Programs

# What in /proc could change the host, and what shows facts of the host. bwrap 0.8 covers only what access(2)
# calls writable: /proc/sys is not, although the files in it are.
_READ_ONLY = (
    "acpi",
    "bus",
    "driver",
    "dynamic_debug",
    "fs",
    "irq",
    "mtrr",
    "pressure",
    "sys",
    "sysrq-trigger",
)
_HIDDEN = ("kcore", "keys", "kmsg", "latency_stats", "sched_debug", "timer_list", "timer_stats")


def bwrap_argv(spec: BoxSpec, image: Path | Programs, mounts: str) -> list[str]:
    """The command, run as root of the sandbox's own user namespace.

    Names in braces stand for descriptors that the fork server opens.

    Args:
        spec: the sandbox.
        image: its file system.
        mounts: the folder in which its file system is mounted.
    """
    argv = [shutil.which("bwrap") or "bwrap", "--die-with-parent", "--as-pid-1", "--info-fd", "{info}"]
    argv += ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net", "--unshare-cgroup"]
    argv += ["--hostname", spec.hostname]
    if isinstance(image, Programs):
        argv += image.arguments([f"{mounts}/programs/{number}" for number in range(len(image.bound))])
        argv += ["--perms", "1777", "--size", str(spec.caps.disk_mb << 20), "--tmpfs", "/tmp"]
        argv += ["--perms", "0444", "--file", "{marker}", marker_path(image)]
    else:
        argv += ["--bind", f"{mounts}/root", "/"]
    argv += ["--dev-bind", f"{mounts}/dev", "/dev"]
    argv += ["--perms", "1777", "--size", str(16 << 20), "--tmpfs", "/dev/shm", "--proc", "/proc"]
    for name in (name for name in _READ_ONLY if Path("/proc", name).exists()):
        argv += ["--ro-bind", f"/proc/{name}", f"/proc/{name}"]
    for name in (name for name in _HIDDEN if Path("/proc", name).exists()):
        argv += ["--ro-bind", "/dev/null", f"/proc/{name}"]
    for folder in _closed_folders():
        argv += ["--ro-bind", f"{mounts}/empty", folder]
    argv += ["--perms", "0444", "--ro-bind-data", "{meminfo}", "/proc/meminfo"]
    argv += ["--seccomp", "{filter}", "--clearenv", "--chdir", "/"]
    for name, value in ENVIRONMENT.items():
        argv += ["--setenv", name, value]
    kept = ",".join(f"+{name}" for name in linux.CAPS)
    return [*argv, "setpriv", f"--bounding-set=-all,{kept}", "--inh-caps=-all", "--", "bash"]


@cache
def _closed_folders() -> tuple[str, ...]:
    """Folders of /proc that only the host's root may list.

    Root inside has no such right. They are shown empty, so that a `find` over the whole system prints no
    errors, as it prints none on a real machine.
    """
    found: list[str] = []
    for folder, names, _ in os.walk("/proc"):
        names[:] = [name for name in names if not name.isdigit()]  # no processes
        paths = [Path(folder, name) for name in names]
        found += [str(path) for path in paths if path.lstat().st_mode & 0o005 != 0o005]
    return tuple(found)


def marker_path(image: Path | Programs) -> str:
    """Where the file that names the system lies inside."""
    return "/harness-root" if isinstance(image, Programs) else f"/{MARKER}"
