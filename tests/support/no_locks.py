"""Runs the harness as on a file system without locks: the kernel refuses each request for one.

Usage: python no_locks.py WORD... (the words of a harness command)
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, FILTER = 22, 38, 2
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
NUMBER, COMMAND = 0, 24  # where the system call's number and its second argument stand
ALLOW, REFUSE = 0x7FFF_0000, 0x0005_0000 | errno.ENOLCK
FCNTL = {"x86_64": 72, "aarch64": 25}[platform.machine()]
LOCKS = (6, 7, 37, 38)  # F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW


def refuse_locks() -> None:
    """Have the kernel answer ENOLCK to this process from now on, as NFS without its lock daemon does."""
    lines = [(LOAD, 0, 0, NUMBER), (EQUAL, 0, len(LOCKS) + 1, FCNTL), (LOAD, 0, 0, COMMAND)]
    lines += [(EQUAL, len(LOCKS) - place, 0, lock) for place, lock in enumerate(LOCKS)]
    lines += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE)]
    code = b"".join(struct.pack("HBBI", *line) for line in lines)
    kept = ctypes.create_string_buffer(code, len(code))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(lines), ctypes.addressof(kept)))
    libc = ctypes.CDLL(None, use_errno=True)
    for words in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, FILTER, program, 0, 0)):
        if libc.prctl(*words) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    refuse_locks()
    from harness.__main__ import main

    sys.argv[0] = "harness"
    sys.exit(main())
