"""Shards of a task whose samples stand on sites: no site in two of them, and one report at the end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import harness
from site_shop import WORDS, install_shop

WHERE = [
    "http://localhost:1",
    "http://localhost:2",
    "http://127.0.0.1:1",
    "http://[::1]:2",
    "http://localhost:1/",
    "",
]


@pytest.mark.timeout(280)
def test_two_shards_by_site_become_one_run_and_three_are_refused(tmp_path: Path) -> None:
    site = install_shop(tmp_path, WHERE)
    played: list[set[str]] = []
    for index in ("1", "2"):
        done = harness(tmp_path, *WORDS, "--shard", f"{index}/2", "--out", index, site=site)
        assert done.returncode == 0, done.stderr
        told = harness(tmp_path, "report", index, "--format", "json", "--episodes", site=site)
        episodes = json.loads(told.stdout)["tasks"]["shop"]["episodes"]
        played.append({one["sample"] for one in episodes})
    assert played == [{"test/0", "test/2", "test/4"}, {"test/1", "test/3", "test/5"}]
    done = harness(tmp_path, "merge", "whole", "1", "2", site=site)
    assert done.returncode == 0, done.stdout + done.stderr
    told = harness(tmp_path, "report", "whole", "--format", "json", site=site)
    assert json.loads(told.stdout)["tasks"]["shop"]["scored"] == 6
    refused = harness(tmp_path, *WORDS, "--shard", "1/3", "--out", "3", site=site)
    assert refused.returncode == 2
    (line,) = (one for one in (refused.stdout + refused.stderr).splitlines() if "--shard 1/3" in one)
    assert "one site on two machines" in line and "--shard i/2" in line
    assert not (tmp_path / "3").exists()
