"""Control groups of sandboxes: whose they are, and what they limit."""

from __future__ import annotations

from pathlib import Path

from tasks._shared.sandbox import Caps, cgroups


def test_only_the_dead_are_abandoned() -> None:
    own = cgroups.owner_prefix()
    assert not cgroups.abandoned(f"{own}1")
    pid, started = own.split("-")[2:4]
    assert cgroups.abandoned(f"harness-box-{pid}-{int(started) + 1}-1")
    assert cgroups.abandoned("harness-box-4194305-1-1")
    for name in ("harness", "harness-abc", "harness-box-1", "docker", "harness-4194305-1-1"):
        assert not cgroups.abandoned(name)


def test_version_2_groups_write_their_limits(tmp_path: Path) -> None:
    layout = cgroups.Layout(2, dict.fromkeys(cgroups.CONTROLLERS, tmp_path))
    group = layout.group("g", Caps(memory_mb=64, pids=9, cpus=0.5))
    assert group.folders == (tmp_path / "g",)
    assert {path.name: value for path, value in group.limits} == {
        "memory.max": str(64 << 20),
        "memory.swap.max": "0",
        "pids.max": "9",
        "cpu.max": "50000 100000",
    }
