"""The system call filter of a sandbox, assembled as classic BPF."""

from __future__ import annotations

import errno
import platform
import socket
import struct
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from tasks._shared.sandbox.syscalls import ALLOWED

_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP = 0x05  # BPF_JMP | BPF_JA
_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K
_ALLOW = 0x7FFF_0000
_ERRNO = 0x0005_0000
_OFFSET_NUMBER, _OFFSET_ARCH, _OFFSET_ARG0, _OFFSET_ARG2 = 0, 4, 16, 32
_X32_BIT = 0x4000_0000
# New namespaces, which would hand a process every capability over a part of the kernel.
_NAMESPACES = 0x0002_0000 | 0x0200_0000 | 0x0400_0000 | 0x0800_0000 | 0x1000_0000 | 0x2000_0000 | 0x4000_0000
_FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)
_AF_NETLINK = 16
# Addresses and routes, sockets (ss), and the audit log, without which useradd refuses to start.
_NETLINK_PROTOCOLS = (0, 4, 9)

_Line = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class _Machine:
    """What a machine calls itself in a filter, and its numbers of the calls whose arguments decide."""

    arch: int
    clone: int
    socket: int
    socketpair: int
    clone3: int = 435


_MACHINES = {
    "x86_64": _Machine(0xC000_003E, clone=56, socket=41, socketpair=53),
    "aarch64": _Machine(0xC000_00B7, clone=220, socket=198, socketpair=199),
}


def supported() -> bool:
    """Whether this machine's system call numbers are known."""
    return platform.machine() in _MACHINES


def program(machine: str = "", *, without: Collection[str] = ()) -> bytes:
    """Assemble the filter: allow what ordinary programs need, refuse the rest.

    A refused call answers EPERM; one newer than the list, and every call of another instruction set, answers
    ENOSYS, so that the C library falls back to an older call. So does clone3, whose flags lie in memory that
    a filter cannot read: the C library then calls clone, whose flags are checked.

    Args:
        machine: name of the machine; by default this one.
        without: names of further calls to refuse.

    Raises:
        KeyError: the machine's system call numbers are not known.
    """
    name = machine or platform.machine()
    of, allowed = _MACHINES[name], ALLOWED[name]
    numbers = sorted(number for call, number in allowed.items() if call not in without)
    refuse, absent = _failing(errno.EPERM), _failing(errno.ENOSYS)
    code: list[_Line] = [
        (_LOAD, 0, 0, _OFFSET_ARCH),
        (_EQUAL, 1, 0, of.arch),
        absent,
        (_LOAD, 0, 0, _OFFSET_NUMBER),
        (_AT_LEAST, 0, 1, _X32_BIT),
        absent,
        (_EQUAL, 0, 1, of.clone3),
        absent,
        *_when([of.clone], [(_LOAD, 0, 0, _OFFSET_ARG0), (_ANY_BIT, 0, 1, _NAMESPACES), refuse]),
        *_when([of.socket, of.socketpair], _families()),
    ]
    for first, last in _runs(numbers):
        code += [(_AT_LEAST, 1, 0, first), refuse, (_AT_LEAST, 1, 0, last + 1), (_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", *line) for line in [*code, absent])


def _failing(number: int) -> _Line:
    return (_RETURN, 0, 0, _ERRNO | number)


def _when(numbers: Collection[int], lines: list[_Line]) -> list[_Line]:
    """Lines that apply to these calls alone and allow what they do not refuse."""
    tests = [(_EQUAL, len(numbers) - at, 0, number) for at, number in enumerate(numbers)]
    lines = [*lines, (_RETURN, 0, 0, _ALLOW)]
    return [*tests, (_JUMP, 0, 0, len(lines)), *lines]


def _families() -> list[_Line]:
    """Refuse sockets of other kinds as a kernel does that was built without them."""
    allow = (_RETURN, 0, 0, _ALLOW)
    code: list[_Line] = [(_LOAD, 0, 0, _OFFSET_ARG0)]
    for family in _FAMILIES:
        code += [(_EQUAL, 0, 1, int(family)), allow]
    code += [(_EQUAL, 1, 0, _AF_NETLINK), _failing(errno.EAFNOSUPPORT), (_LOAD, 0, 0, _OFFSET_ARG2)]
    for protocol in _NETLINK_PROTOCOLS:
        code += [(_EQUAL, 0, 1, protocol), allow]
    return [*code, _failing(errno.EPROTONOSUPPORT)]


def _runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Sorted numbers as runs, first and last."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs
