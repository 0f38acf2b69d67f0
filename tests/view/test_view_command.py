"""`harness view` as it is typed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request

import pytest
from click.testing import CliRunner
from command import harness
from viewed_runs import viewed_run

from harness.cli import group


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere"], "holds no run.sqlite"),
        (["run", "--only", "failed"], "--only chooses what --bundle DIR writes"),
        (["run", "--bundle", "pages", "--max", "much"], "--max much: give a size such as 50MB"),
        (["run", "--at", "garden/s/1"], "no episode of garden with the sample 's/1': did you mean s/001"),
        (["run", "--at", "gardn/s/1"], "unknown task 'gardn': did you mean garden"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(tmp_path, words, told):
    viewed_run(tmp_path / "run", 3)
    done = harness(tmp_path, "view", *words)
    assert done.returncode == 2
    assert told in done.stderr and done.stderr.count("\n") == 1


def test_it_serves_until_ctrl_c(tmp_path):
    viewed_run(tmp_path / "run", 3)
    command = [sys.executable, "-m", "harness", "view", "run", "--at", "garden/s/001", "--host", "0.0.0.0"]
    command.append("--browser")
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PATH": "/nowhere"},
    )
    try:
        assert process.stdout is not None and process.stderr is not None
        address = process.stdout.readline().strip()
        found = re.fullmatch(r"http://0\.0\.0\.0:(\d+)/([\w-]{20,})/#/0/e/3", address)
        assert found is not None, address
        with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}/{found[2]}/api/runs", timeout=20) as answer:
            assert answer.status == 200
        warned, missed = process.stderr.readline(), process.stderr.readline()
        assert "whoever learns the address can read this run" in warned
        assert missed == "no browser was found: open the address above in one\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    finally:
        process.kill()
        process.communicate()


def test_a_bundle_is_written_and_named(tmp_path):
    viewed_run(tmp_path / "run", 3)
    done = harness(tmp_path, "view", "run", "--bundle", "pages", "--max", "1.5MB")
    assert done.returncode == 0
    assert re.match(r"pages/index\.html: 5 episodes; 0\.\d MB\n", done.stdout)
    assert (tmp_path / "pages/index.html").is_file()


def test_its_help_says_what_it_does():
    shown = CliRunner().invoke(group, ["view", "--help"])
    assert shown.exit_code == 0 and "--bundle" in shown.output
