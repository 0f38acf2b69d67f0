"""Checks of problems that pass without the problem being solved, and what they should ask."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.os.rows import OsProblem

_COUNT = "[ `count_files"
_SUDO = (
    '[ "$(type -P sudo)" -ef /usr/bin/sudo ] && dpkg-deb --fsys-tarfile '
    "/usr/share/harness-repository/sudo_*.deb | tar -xO ./usr/bin/sudo | cmp -s - /usr/bin/sudo && "
)
_VIDEOS = " && ".join(f"[ -f ~/videos/{name} ]" for name in ("vid1", "vid2", "new/a", "new/b", "old/c"))

# Problem to what is replaced in its checks, by what.
CHECKS: Mapping[str, tuple[tuple[str, str], ...]] = {
    # `exit 0` in the file that is read ended the check.
    "2/environment/4": (
        (
            "source ~/.bashrc && x=$(echo-love)",
            "p=$(bash -c 'source ~/.bashrc > /dev/null 2>&1; echo; echo \"$PATH\"'); p=${p##*$'\\n'}; "
            '[ -n "$p" ] && x=$(PATH=$p /bin/bash -c echo-love)',
        ),
    ),
    # Any file of the name would do.
    "4/Q47/0": (
        (
            "find /home/user2/MyPersonalComputer.config >/dev/null 2>/dev/null && exit 0 || exit 1",
            "grep -qx 'Linux-Ubuntu-20.04?' /home/user2/MyPersonalComputer.config",
        ),
    ),
    # What calc printed became part of a program.
    "5/new/0": (
        (
            '`python3 -c "print(abs($output - $expected_result)<1e-5)"`',
            "`python3 -c 'import sys; a, b = map(float, sys.argv[1:]); print(abs(a - b) < 1e-5)' "
            '"$output" "$expected_result"`',
        ),
    ),
    # Two words from count were an error of `[`, which passed.
    "5/new/1": ((_COUNT, '[ "`count_files'), ("`x != `count", '`"x != "`count'), ("`x ] &&", '`"x ] &&')),
    # The first of six cases ended the check.
    "5/new/2": (("    exit 0\n}", "    return 0\n}"),),
    # A user's login shell and its files could print the text.
    "6/new/2": tuple(
        (f"runuser -l {name} -c 'cat /testfile'", f"runuser -u {name} -- cat /testfile")
        for name in ("jack", "bill", "tom", "george")
    ),
    # No folder at all passed.
    "6/new/4": (("(find ~/videos -type f", f"{_VIDEOS} && (find ~/videos -type f"),),
    # Any entry with `data` in its name would do.
    "6/new/7": (("ls -l / | grep data", "ls -ld /data"),),
    # Any program called sudo would do.
    "6/new/8": (("sudo whoami |", f"{_SUDO}sudo whoami |"),),
}


def check(problem: OsProblem, code: str) -> str:
    """A check's code with its known hole closed."""
    for wrong, right in CHECKS.get(problem.id, ()):
        code = code.replace(wrong, right)
    return code
