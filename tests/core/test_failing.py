"""What ends a command becomes one message and an exit code."""

from __future__ import annotations

import errno
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from harness.cli.failing import exit_code
from harness.errors import DataError, EndpointError, StoreError, UsageError, cause

KEY = "sk-Not-To-Be-Shown-0123"
ENDS = [
    (UsageError("no such task; did you mean x"), 2, "harness: no such task; did you mean x\n"),
    (DataError("f: bad"), 2, "harness: f: bad\n"),
    (EndpointError("gone"), 2, "harness: gone\n"),
    (StoreError("cannot write; make room"), 3, "harness: cannot write; make room\n"),
    (OSError(errno.EMFILE, "x"), 2, "harness: too many open files: allow more"),
    (OSError(errno.ENFILE, "x"), 2, "harness: too many open files on this machine: close other"),
    (OSError(errno.ENOSPC, "x"), 3, "harness: no space left on the device: make room"),
    (OSError(errno.EIO, "Input/output error", "f"), 2, "harness: [Errno 5] Input/output error: 'f'\n"),
    (RecursionError("maximum"), 2, "harness: a file is nested too deeply"),
    (KeyboardInterrupt(), 130, "interrupted\n"),
    (click.exceptions.Abort(), 130, "interrupted\n"),
    (click.exceptions.Exit(4), 4, ""),
    (click.UsageError("No such option"), 2, "Error: No such option\n"),
    (SystemExit(3), 3, ""),
    (SystemExit("words"), 1, ""),
    (BrokenPipeError(), 0, ""),
    (KeyError("x"), 1, "harness: unexpected KeyError: 'x'; please report it with the output of -v\n"),
    (UsageError("a\x1b[31m\x9b"), 2, "harness: a\\x1b[31m\\x9b\n"),
    (ValueError(f"http://u:{KEY}@x"), 1, "harness: unexpected ValueError: http://[password]@x; "),
]


@pytest.mark.parametrize(("error", "code", "said"), ENDS, ids=[repr(error)[:40] for error, _, _ in ENDS])
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_every_end_has_one_message_and_its_code(
    capfd: pytest.CaptureFixture[str], error: BaseException, code: int, said: str, depth: int
):
    for _ in range(depth):  # as nested task groups wrap it
        error = BaseExceptionGroup("unhandled errors in a TaskGroup", [error])
    assert exit_code(error) == code
    shown = capfd.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(said) and shown.err.count("\n") == bool(said)
    assert KEY not in shown.err and "TaskGroup" not in shown.err


INTERRUPTED = """
import importlib, sys

_, stopping, entry = sys.argv

class CtrlC:
    def find_spec(self, name, path=None, target=None):
        if name == stopping:
            raise KeyboardInterrupt

module, _, function = entry.partition(":")
sys.meta_path.insert(0, CtrlC())
called = getattr(importlib.import_module(module), function)
sys.argv = ["harness", "list", "tasks"]
called()
"""


@pytest.mark.parametrize("imported", ["click", "harness.cli.failing", "harness.cli.list_command"])
def test_ctrl_c_while_it_starts_is_one_line(imported: str):
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    command = [sys.executable, "-c", INTERRUPTED, imported, project["project"]["scripts"]["harness"]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.strip(), done.stdout) == (130, "interrupted", "")


def test_what_the_harness_raised_comes_before_what_it_led_to():
    told = StoreError("full")
    inner = BaseExceptionGroup("inner", [ValueError("led to"), BaseExceptionGroup("", [OSError("x"), told])])
    assert cause(BaseExceptionGroup("outer", [KeyError("also led to"), inner])) is told
    assert cause(told) is told
    other = KeyError("x")
    assert cause(BaseExceptionGroup("", [BaseExceptionGroup("", [other])])) is other


HELD = """
import os, sys
from harness.cli.failing import hold_descriptors
closed = hold_descriptors()
print("to stdout", flush=True)
print("to stderr", file=sys.stderr, flush=True)
sys.stdout.isatty(), sys.stderr.isatty()
null = [os.path.samefile(f"/proc/self/fd/{n}", os.devnull) for n in range(3)]
with open(sys.argv[1], "w") as told:
    print(closed, told.fileno() > 2, *null, file=told)
"""


@pytest.mark.parametrize(
    ("redirected", "told", "out", "err"),
    [
        ("</dev/zero", "False True False False False", "to stdout\n", "to stderr\n"),
        ("<&-", "False True True False False", "to stdout\n", "to stderr\n"),
        (">&-", "True True False True False", "", "to stderr\n"),
        ("2>&-", "False True False False True", "to stdout\n", ""),
        ("<&- >&- 2>&-", "True True True True True", "", ""),
    ],
)
def test_closed_descriptors_are_held(tmp_path: Path, redirected: str, told: str, out: str, err: str):
    file = tmp_path / "told"
    words = ["sh", "-c", f'exec "$0" "$@" {redirected}', sys.executable, "-c", HELD, str(file)]
    done = subprocess.run(
        words, stdin=subprocess.PIPE, capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == (out, err)
    assert file.read_text() == f"{told}\n"
