"""`harness view` as it is typed."""

from __future__ import annotations

import os
import re
import shutil
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
        (["run", "--at", "garden/s/001", "--bundle", "pages"], "leave one out"),
        (["run", "--at", "garden/s/1"], "no episode of garden with the sample 's/1': did you mean s/001"),
        (["run", "--at", "gardn/s/1"], "unknown task 'gardn': did you mean garden"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(tmp_path, words, told):
    viewed_run(tmp_path / "run", 3)
    done = harness(tmp_path, "view", *words)
    assert done.returncode == 2
    assert told in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(("ending", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_it_serves_until_it_is_ended(tmp_path, ending, code):
    viewed_run(tmp_path / "run", 3)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [sys.executable, "-m", "harness", "view", "run", "--at", "garden/s/001", "--host", "0.0.0.0"]
    command.append("--browser")
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PATH": "/nowhere", "TMPDIR": str(scratch)},
    )
    try:
        assert process.stdout is not None and process.stderr is not None
        address = process.stdout.readline().strip()
        found = re.fullmatch(r"http://0\.0\.0\.0:(\d+)/([\w-]{20,})/#/0/e/3", address)
        assert found is not None, address
        with urllib.request.urlopen(
            f"http://127.0.0.1:{found[1]}/{found[2]}/api/episodes?words=think", timeout=20
        ) as answer:
            assert answer.status == 200
        assert [folder.name[:13] for folder in scratch.glob("[!.]*")] == ["harness-view-"]
        warned, missed = process.stderr.readline(), process.stderr.readline()
        assert "whoever learns the address can read this run" in warned
        assert missed == "no browser was found: open the address above in one\n"
        process.send_signal(ending)
        assert process.wait(20) == code
        assert not list(scratch.glob("[!.]*"))
    finally:
        process.kill()
        process.communicate()


def test_a_bundle_is_written_and_named(tmp_path):
    viewed_run(tmp_path / "run", 3)
    done = harness(tmp_path, "view", "run", "--bundle", "pages", "--max", "1.5MB")
    assert done.returncode == 0
    assert re.match(r"pages/index\.html: 5 episodes; 0\.\d MB\n", done.stdout)
    assert (tmp_path / "pages/index.html").is_file()


SEARCH = """
import sys, time
from pathlib import Path
from harness.view.library import Library
library, until = Library(Path("run/run.sqlite")), time.monotonic() + 60
while time.monotonic() < until:
    found = library.answers["episodes"]({"words": "think"})
    if found["index"]["done"] == found["index"]["of"]:
        break
library.close()
sys.exit(f"found {len(found['rows'])}")
"""


def test_a_run_on_a_read_only_mount_is_listed_searched_and_watched(tmp_path):
    viewed_run(tmp_path / "run", 3)
    (tmp_path / "scratch").mkdir()
    sandbox = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    sandbox += ["--bind", str(tmp_path / "scratch"), str(tmp_path / "scratch"), "--chdir", str(tmp_path)]
    if shutil.which("bwrap") is None or subprocess.run([*sandbox, "true"], check=False).returncode:
        pytest.skip("bubblewrap makes no mounts here")

    def inside(*words: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "TMPDIR": str(tmp_path / "scratch")}
        command = [*sandbox, sys.executable, *words]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)

    assert "Read-only file system" in inside("-c", "open('run/x', 'w')").stderr
    assert inside("-c", SEARCH).stderr == "found 3\n"
    assert "run: 5 of 3 episodes" in inside("-m", "harness", "watch", "run").stdout
    assert not list((tmp_path / "scratch").glob("[!.]*"))


def test_the_index_of_a_view_that_was_killed_goes_with_the_next_search(tmp_path):
    viewed_run(tmp_path / "run", 3)
    (tmp_path / "scratch").mkdir()

    def searched(then: str) -> int:
        words = [sys.executable, "-c", SEARCH.replace("library.close()", then)]
        env = {**os.environ, "TMPDIR": str(tmp_path / "scratch")}
        return subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, timeout=120).returncode

    assert searched("import os, signal; os.kill(os.getpid(), signal.SIGKILL)") == -signal.SIGKILL
    assert len(list((tmp_path / "scratch").glob("harness-view-*"))) == 1
    searched("library.close()")
    assert not list((tmp_path / "scratch").glob("harness-view-*"))


def test_its_help_says_what_it_does():
    shown = CliRunner().invoke(group, ["view", "--help"])
    assert shown.exit_code == 0 and "--bundle" in shown.output
