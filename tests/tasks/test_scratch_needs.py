"""What tasks ask of the temporary folder is tried before a run, not looked up."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from command import ROOT

from harness.needs import executable_scratch
from tasks.dbbench import server

ALONE = ("unshare", "--mount", *(() if os.geteuid() == 0 else ("--map-root-user",)), "--", "sh", "-c")
"""Runs a script that may mount what nobody else sees."""


def test_a_temporary_folder_mounted_noexec_is_told_before_alfworld_starts(tmp_path: Path):
    mounted = 'mount -t tmpfs -o noexec none "$0"'
    if subprocess.run([*ALONE, mounted, str(tmp_path)], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a file system")
    places = {"TMPDIR": str(tmp_path), "HARNESS_CACHE": f"{tmp_path}/cache", "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "harness", "doctor", "alfworld", "--mirror", "fixture"]
    command = [*ALONE, f'{mounted} && exec "$@"', str(tmp_path), *words]
    done = subprocess.run(command, env=os.environ | places, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    assert f"fail scratch folder: {tmp_path} takes no programs" in done.stdout
    assert "fix: export TMPDIR=FOLDER on a file system not mounted noexec" in done.stdout


def test_this_machines_temporary_folder_will_do():
    assert executable_scratch().missing() is None
    assert server.unusable() is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the database as another user")
async def test_the_database_goes_where_its_user_can_enter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(closed))
    assert server.unusable() is None
    database = server.Embedded()
    try:
        await database.start()
        assert database.data is not None and database.data.parent.parent == Path("/tmp")
    finally:
        await database.stop()


def test_a_folder_that_the_databases_user_cannot_enter_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700 if os.geteuid() == 0 else 0o500)
    monkeypatch.setattr(server, "base", lambda _: str(closed))
    told = server.unusable()
    assert told is not None and told.startswith(f"does not start in {closed}")
    assert ("can't cd to" in told) if os.geteuid() == 0 else ("denied" in told)
    assert list(closed.iterdir()) == []


def test_a_database_that_does_not_start_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    broken = tmp_path / "mariadbd"
    broken.write_text("#!/bin/sh\necho 'libssl.so.3: cannot open' >&2\nexit 127\n")
    broken.chmod(0o755)
    tmp_path.chmod(0o755)
    monkeypatch.setattr(server, "find_server", lambda: (broken, tmp_path))
    monkeypatch.setattr(server, "server_account", lambda: None)
    told = server.unusable()
    assert told is not None and told.endswith("as you: libssl.so.3: cannot open")
