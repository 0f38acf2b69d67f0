"""Linux system calls that the sandbox needs and Python's library lacks."""

from __future__ import annotations

import ctypes
import os

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18

CLONE_NEWNS = 0x0002_0000
CLONE_NEWCGROUP = 0x0200_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000

PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_SECUREBITS = 28
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
SECBIT_NO_SETUID_FIXUP = 4
SECCOMP_MODE_FILTER = 2
_PF_EXITING = 4
CAPABILITY_VERSION_3 = 0x2008_0522

CAPS = {
    "chown": 0,
    "dac_override": 1,
    "fowner": 3,
    "fsetid": 4,
    "kill": 5,
    "setgid": 6,
    "setuid": 7,
    "setpcap": 8,
    "net_bind_service": 10,
    "net_raw": 13,
    "sys_chroot": 18,
    "audit_write": 29,
    "setfcap": 31,
}
"""What root keeps inside: Docker's default without mknod, which would give access to the host's disks."""

CAP_MASK = sum(1 << bit for bit in CAPS.values())

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{what}: {os.strerror(errno)}")
    return result


def mount(source: str | None, target: str, kind: str | None, flags: int = 0, data: str = "") -> None:
    """Mount, bind or remount a file system."""

    def text(value: str | None) -> bytes | None:
        return None if value is None else os.fsencode(value)

    result = _libc.mount(text(source), text(target), text(kind), ctypes.c_ulong(flags), text(data) or None)
    _check(result, f"mount {kind or 'bind'} on {target}")


_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442  # the same on every machine
_OPEN_TREE_CLONE, _MOVE_MOUNT_F_EMPTY_PATH, _AT_EMPTY_PATH = 1, 4, 0x1000
_MOUNT_ATTR_IDMAP = 0x0010_0000
_AT_FDCWD = -100


def mount_mapped(source: str, target: str, users: int) -> None:
    """Bind a folder so that its owners are seen as those of a user namespace (Linux 5.19 under overlays)."""
    flags = ctypes.c_uint(_OPEN_TREE_CLONE | os.O_CLOEXEC)
    tree = _check(_libc.syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(source), flags), "open_tree")
    try:
        attributes = (ctypes.c_uint64 * 4)(_MOUNT_ATTR_IDMAP, 0, 0, users)
        size = ctypes.c_size_t(ctypes.sizeof(attributes))
        result = _libc.syscall(_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, attributes, size)
        _check(result, "mount_setattr")
        place = os.fsencode(target)
        _check(
            _libc.syscall(_MOVE_MOUNT, tree, b"", _AT_FDCWD, place, _MOVE_MOUNT_F_EMPTY_PATH), "move_mount"
        )
    finally:
        os.close(tree)


def unshare(flags: int) -> None:
    """Leave the given namespaces for new ones."""
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, flags: int) -> None:
    """Join the namespaces of the process behind a pidfd (Linux 5.8)."""
    _check(_libc.setns(fd, flags), "setns")


def prctl(option: int, *values: int) -> int:
    """Set or read an attribute of this process, given up to four plain integers."""
    padded = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    return _check(_libc.prctl(option, *padded), f"prctl {option}")


class _Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]


def load_seccomp(program: bytes) -> None:
    """Install a seccomp filter (needs CAP_SYS_ADMIN, so that setuid programs keep working)."""
    buffer = ctypes.create_string_buffer(program, len(program))
    frame = _Filter(len(program) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(frame))


def drop_capabilities() -> None:
    """Keep only `CAP_MASK`, in the bounding set as in the process; nothing is inheritable or ambient."""
    bit = 0
    while bit < 64:
        try:
            held = prctl(PR_CAPBSET_READ, bit)
        except OSError:  # past the kernel's last capability
            break
        if held and not CAP_MASK >> bit & 1:
            prctl(PR_CAPBSET_DROP, bit)
        bit += 1
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    low, high = CAP_MASK & 0xFFFF_FFFF, CAP_MASK >> 32
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    _check(_libc.capset(header, data), "capset")


def is_ending(pid: int) -> bool:
    """Whether a process is gone or on its way out; a namespace's first waits for all others in it."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 (runs before anything heavy)
            return bool(int(file.read().rpartition(b")")[2].split()[6]) & _PF_EXITING)
    except (OSError, IndexError, ValueError):
        return True


def process_start(pid: int) -> int | None:
    """Start time of a process in clock ticks, unique together with its id; None when the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 (runs before anything heavy)
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None
