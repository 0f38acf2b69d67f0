"""The system call filter: what it refuses on each machine, and that ordinary programs run under it."""

from __future__ import annotations

import ctypes
import platform
import shutil
import struct
from collections.abc import Iterable

import pytest
from sandboxes import HOSTNAME, opened, system

from tasks._shared.sandbox import Command, seccomp, syscalls

ALLOW, EPERM, ENOSYS, NO_FAMILY, NO_PROTOCOL = 0x7FFF0000, 0x50001, 0x50026, 0x50061, 0x5005D
# Numbers by machine (x86-64, arm64) of calls that must not be made.
REFUSED = {
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "ptrace": (101, 117),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "io_setup": (206, 0),
    "io_submit": (209, 2),
    "io_uring_setup": (425, 425),
    "reboot": (169, 142),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "perf_event_open": (298, 241),
    "fanotify_init": (300, 262),
    "open_by_handle_at": (304, 265),
    "process_vm_readv": (310, 270),
    "userfaultfd": (323, 282),
    "clock_settime": (227, 112),
    "settimeofday": (164, 170),
    "syslog": (103, 116),
    "swapon": (167, 224),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "fsopen": (430, 430),
    "mount_setattr": (442, 442),
    "memfd_secret": (447, 447),
    "mbind": (237, 235),
}
NEEDED = {
    "read": (0, 63),
    "execve": (59, 221),
    "openat": (257, 56),
    "statx": (332, 291),
    "fchownat": (260, 54),
    "inotify_init1": (294, 26),
    "mq_open": (240, 180),
    "shmget": (29, 194),
    "faccessat2": (439, 439),
    "close_range": (436, 436),
}
SOCKET, SOCKETPAIR, CLONE = (41, 198), (53, 199), (56, 220)
MACHINES = ("x86_64", "aarch64")


class Filter:
    """Runs the filter as the kernel would."""

    def __init__(self, machine: str) -> None:
        self.arch = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[machine]
        self._code = list(struct.iter_unpack("<HBBI", seccomp.program(machine)))

    def __call__(self, number: int, *arguments: int, arch: int | None = None) -> int:
        padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
        data = struct.pack("<IIQ6Q", number, self.arch if arch is None else arch, 0, *padded)
        at, loaded = 0, 0
        while True:
            kind, true, false, value = self._code[at]
            at += 1
            if kind == 0x20:
                loaded = struct.unpack_from("<I", data, value)[0]
            elif kind == 0x06:
                return value
            elif kind == 0x05:
                at += value
            else:
                holds = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}[kind]
                at += true if holds else false


@pytest.mark.parametrize("machine", MACHINES)
def test_the_filter_allows_a_list_and_refuses_the_rest(machine: str) -> None:
    verdict, at = Filter(machine), MACHINES.index(machine)
    assert {name for name, numbers in REFUSED.items() if verdict(numbers[at]) != EPERM} == set()
    assert {name for name, numbers in NEEDED.items() if verdict(numbers[at]) != ALLOW} == set()
    allowed = set(syscalls.ALLOWED[machine].values())
    decided = {SOCKET[at], SOCKETPAIR[at], CLONE[at], 435}
    for number in set(range(463)) - decided:
        assert verdict(number) == (ALLOW if number in allowed else EPERM), number
    assert {verdict(number) for number in (463, 467, 9999)} == {ENOSYS}  # newer than the list


@pytest.mark.parametrize("machine", MACHINES)
def test_the_filter_looks_at_what_is_cloned_and_at_the_instruction_set(machine: str) -> None:
    verdict, at = Filter(machine), MACHINES.index(machine)
    assert verdict(CLONE[at], 0x1200011) == ALLOW
    assert verdict(CLONE[at], 0x3D0F00) == ALLOW  # a thread
    for flag in (0x10000000, 0x00020000, 0x40000000, 0x20000000, 0x08000000, 0x04000000, 0x02000000):
        assert verdict(CLONE[at], flag | 17) == EPERM
    assert verdict(435) == ENOSYS
    assert verdict(NEEDED["read"][at], arch=0x40000003) == ENOSYS  # 32-bit x86
    assert verdict(NEEDED["read"][at], arch=0x40000028) == ENOSYS  # 32-bit ARM
    assert verdict(0x40000000) == verdict(0x40000000 | NEEDED["openat"][at]) == ENOSYS  # x32


@pytest.mark.parametrize("machine", MACHINES)
def test_only_local_and_internet_sockets_are_made(machine: str) -> None:
    verdict, at = Filter(machine), MACHINES.index(machine)
    families = {family for family in range(64) if verdict(SOCKET[at], family, 1, 0) == ALLOW}
    assert families == {1, 2, 10, 16}
    assert {verdict(SOCKET[at], family, 3, 0) for family in set(range(64)) - families} == {NO_FAMILY}
    netlink = {number for number in range(64) if verdict(SOCKET[at], 16, 3, number) == ALLOW}
    assert netlink == {0, 4, 9}
    assert verdict(SOCKET[at], 16, 3, 12) == NO_PROTOCOL
    assert verdict(SOCKETPAIR[at], 1, 1, 0) == ALLOW
    assert verdict(SOCKETPAIR[at], 40, 1, 0) == NO_FAMILY
    assert verdict(SOCKET[at], 0xFFFF_FFFF_0000_0028, 1, 0) == NO_FAMILY  # the kernel takes 32 bits


# In no libseccomp before 2.6; their numbers are the same on every machine.
NEWER = {"mseal"}


def numbers_of(machine: str, names: Iterable[str]) -> dict[str, int]:
    """What libseccomp says the numbers are; names it does not know are left out.

    A machine without the library fails the test: on Debian apt itself depends on it.
    """
    library = ctypes.CDLL("libseccomp.so.2")  # apt-get install libseccomp2
    resolve = library.seccomp_syscall_resolve_name_arch
    resolve.argtypes, resolve.restype = [ctypes.c_uint32, ctypes.c_char_p], ctypes.c_int
    found = {name: resolve(Filter(machine).arch, name.encode()) for name in names}
    return {name: number for name, number in found.items() if number != -1}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_are_libseccomps(machine: str) -> None:
    ours, at = syscalls.ALLOWED[machine], MACHINES.index(machine)
    theirs = numbers_of(machine, ours)
    assert ours.keys() - theirs.keys() <= NEWER
    assert {name: ours[name] for name in theirs} == theirs
    decided = {"socket": SOCKET, "socketpair": SOCKETPAIR, "clone": CLONE, "clone3": (435, 435)}
    tested = {name: pair[at] for name, pair in {**REFUSED, **NEEDED, **decided}.items()}
    assert numbers_of(machine, tested) == tested


def test_calls_can_be_refused_besides() -> None:
    assert seccomp.program("x86_64", without=["inotify_init1"]) != seccomp.program("x86_64")


ORDINARY = """set -e
cd /root; umask 022
ls -la / > list; cat list | sort | uniq -c | head -5 | tail -2 | wc -l; cut -c1-3 list | tr a-z A-Z > upper
awk '{n += NF} END {print n}' list; sed -i s/root/ROOT/g list; grep -c ROOT list; diff list list
find / -xdev -name passwd -type f; xargs -n1 echo < upper > /dev/null; tee copy < list > /dev/null
cmp list copy
mkdir -p a/b; cp -a /etc/passwd a/b; mv a/b/passwd a/b/p; ln -s p a/b/l; ln a/b/p a/b/h; readlink -f a/b/l
tar czf a.tgz a; tar xzf a.tgz -C /tmp; zip -qr a.zip a; unzip -qo a.zip -d /tmp/z; gzip -k list
gunzip -c list.gz
groupadd staffs; useradd -m -G staffs ann; echo ann:pass | chpasswd; usermod -s /bin/bash ann; id ann
chown ann:staffs a/b/p; chmod 4750 a/b/p; stat -c '%U %G %a' a/b/p; chgrp -R staffs a
su - ann -c 'id -un; touch x'
touch -d 2001-01-01 old; date -r old +%Y; truncate -s 1M big
dd if=/dev/zero of=zero bs=1k count=9 status=none
split -b 1k zero part; sha256sum zero; md5sum zero; base64 zero | head -c 9; od -c zero | head -1
du -sh .; df /
mkfifo pipe; (echo through > pipe &) ; cat pipe; sleep 0.01; seq 3 | paste -sd+; expr 1 + 2
printf '%s\\n' x; env
ps aux > /dev/null; kill -0 $$; (sleep 9 & kill $!; wait) ; nice -n 5 true; nohup true; timeout 5 true
setsid true
top -bn1 > /dev/null; free > /dev/null; uptime > /dev/null; pgrep bash > /dev/null; tree a > /dev/null
nproc
getent passwd ann; getent hosts localhost; hostname; uname -a; whoami; groups; who; tty || true
stty -a || true
perl -e 'print join(",", map { $_ * 2 } 1..3), "\\n"'; perl -e 'fork or exit; wait; print `echo sub`'
python3 -c 'import subprocess, threading, sqlite3, ssl, socket, multiprocessing as m, tempfile, asyncio
t = threading.Thread(target=print, args=("thread",)); t.start(); t.join()
print(subprocess.run(["echo", "child"], capture_output=True).stdout)
p = m.get_context("spawn").Process(target=print); p.start(); p.join(); assert p.exitcode == 0
s = socket.create_server(("127.0.0.1", 0)); c = socket.create_connection(s.getsockname()); c.close()
socket.socketpair(); socket.if_nameindex(); asyncio.run(asyncio.sleep(0)); m.Semaphore()'
(python3 -m http.server 8123 --bind 127.0.0.1 2> /dev/null & echo $! > server)
for i in $(seq 50); do curl -sSo page http://127.0.0.1:8123/list 2> /dev/null && break; sleep 0.1; done
wget -qO- http://127.0.0.1:8123/old; cmp page list; kill $(cat server)
git init -q r; cd r; git config user.email a@b; git config user.name a; touch f; git add f
git commit -qm m; git log
echo x | vim -es -c 'normal ix' -c 'wq! /root/vim' - ; cd /; apt-get update > /dev/null
apt-get install -y sudo > /dev/null
dpkg -l > /dev/null; pip --version; chroot / true; mknod /tmp/p p; script -qc 'echo pty' /dev/null
trap 'echo trapped' USR1; kill -USR1 $$; flock /tmp/l true; mktemp; ulimit -n 512
echo $((RANDOM < 99999)); sync
echo ALL DONE"""


async def test_the_ordinary_programs_of_a_system_run() -> None:
    async with system() as sandbox:
        box = await sandbox.create(hostname=HOSTNAME)
        result = await box.run(Command(("bash", "-c", ORDINARY), timeout=120))
        await box.destroy()
    assert result.stdout.endswith(b"ALL DONE\n"), (result.stdout[-600:], result.stderr[-600:])
    for line in (b"ann staffs 4750", b"2,4,6", b"through", b"trapped", b"thread", b"child", b"pty"):
        assert line in result.stdout, line
    assert b"not permitted" not in result.stderr, result.stderr


async def test_a_compiler_runs() -> None:
    if shutil.which("gcc") is None:
        pytest.skip("no gcc on this machine")
    program = '#include <stdio.h>\nint main(void) { return puts("compiled") < 0; }\n'
    script = "cd /tmp; cat > a.c; gcc -O1 -o a a.c && ./a"
    async with opened() as sandbox:
        box = await sandbox.create(hostname=HOSTNAME)
        result = await box.run(Command(("bash", "-c", script), stdin=program.encode(), timeout=60))
        await box.destroy()
    assert result.stdout == b"compiled\n", result.stderr


PROBE = """
import ctypes, errno, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    return errno.errorcode.get(ctypes.get_errno(), "?") if libc.syscall(number, *arguments) < 0 else "done"
for name, number in {numbers}.items():
    print(name, call(number, 0, 0, 0, 0, 0))
for family in ("AF_VSOCK", "AF_ALG", "AF_PACKET", "AF_CAN", "AF_TIPC", "AF_RDS", "AF_BLUETOOTH"):
    try:
        socket.socket({families}[family], socket.SOCK_RAW if family in ("AF_PACKET", "AF_CAN") else 5)
        print(family, "done")
    except OSError as error:
        print(family, errno.errorcode[error.errno])
"""
FAMILIES = {
    "AF_VSOCK": 40,
    "AF_ALG": 38,
    "AF_PACKET": 17,
    "AF_CAN": 29,
    "AF_TIPC": 30,
    "AF_RDS": 21,
    "AF_BLUETOOTH": 31,
}


async def test_the_kernel_refuses_them_inside() -> None:
    numbers = {
        name: pair[MACHINES.index(platform.machine())] for name, pair in REFUSED.items() if name != "reboot"
    }
    script = PROBE.format(numbers=numbers, families=FAMILIES)
    async with system() as sandbox:
        box = await sandbox.create(hostname=HOSTNAME)
        result = await box.run(Command(("python3", "-c", script), timeout=60))
        await box.destroy()
    said = dict(line.split() for line in result.stdout.decode().splitlines())
    assert said == {**dict.fromkeys(numbers, "EPERM"), **dict.fromkeys(FAMILIES, "EAFNOSUPPORT")}
