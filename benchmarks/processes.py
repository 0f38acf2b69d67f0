"""Whole processes from start to end: `harness run` against a bare aiohttp loop on the same server.

1,328 GSM8K episodes (the fixture, repeated), 128 in flight: at most 1.8 x the bare process's wall and 2.4 x
its CPU. 200 conversations of 20 turns, 64 in flight: at most 1.2 x its wall. The server answers after 50 ms.
Both processes import Python and their libraries, compiled before by a pair that is not counted; the bare one
sends the prompts that the harness sent. They take turns, so that a busy machine slows both.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from support.running import compiled, fixed_latency_server, timed

from harness.storage.store import Store

HERE = Path(__file__).parent
DELAY_S = 0.05
PAIRS = 5
GRACE = 1.5


@dataclass(frozen=True, slots=True)
class Load:
    """What is run, and what it may cost: wall and CPU as multiples of the bare process's.

    Attributes:
        cpu: None where the wall alone has a target.
    """

    name: str
    options: tuple[str, ...]
    in_flight: int
    wall: float
    cpu: float | None = None


LOADS = (
    Load("1,328 x 1 turn, 128 in flight", ("--task", "gsm8k", "--repeats", "83"), 128, 1.8, 2.4),
    Load("200 x 20 turns, 64 in flight", ("--task", "talk"), 64, 1.2),
)


def with_talk(folder: Path) -> dict[str, str]:
    """The environment in which the benchmark of twenty turns is installed, as pip would do it in `folder`."""
    facts = folder / "talk-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: talk\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[harness.tasks]\ntalk = support.talk.task:TASK\n")
    path = os.pathsep.join([str(folder), str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    return {**compiled(folder / "compiled"), "PYTHONPATH": path}


def prompts(run: Path) -> list[list[str]]:
    """The prompts that a run sent, by episode."""
    store = Store(run / "run.sqlite", readonly=True)
    try:
        return [[call.prompt for call in store.calls(row.id)] for row in store.attempts()]
    finally:
        store.close()


def compared(load: Load, url: str, folder: Path, environment: dict[str, str]) -> bool:
    """Print one load's figures; whether they are within their targets, with some grace."""
    ours, floors = [], []
    sent = folder / "prompts.json"
    usual = ("run", "--model", "agentlm-7b", "--endpoint", url, "--mirror", "fixture")
    for n in range(1 + PAIRS):
        run = folder / f"{load.in_flight}-{n}"
        options = (*load.options, "--concurrency", str(load.in_flight), "--out", str(run))
        ours.append(timed([sys.executable, "-m", "harness", *usual, *options], environment))
        sent.write_text(json.dumps(prompts(run)), encoding="utf-8")
        bare = [sys.executable, str(HERE / "support" / "bare_loop.py"), url, str(sent), str(load.in_flight)]
        floors.append(timed(bare, environment))
    ours, floors = ours[1:], floors[1:]
    wall = median(a[0] / b[0] for a, b in zip(ours, floors, strict=True))
    cpu = median(a[1] / b[1] for a, b in zip(ours, floors, strict=True))
    mine, bare_s = ([median(values) for values in zip(*one, strict=True)] for one in (ours, floors))
    print(f"{load.name}, medians of {PAIRS}, load {os.getloadavg()[0]:.1f}")
    print(f"  wall {mine[0]:.2f} s, bare {bare_s[0]:.2f} s: {wall:.2f} x (target {load.wall})")
    print(f"  cpu {mine[1]:.2f} s, bare {bare_s[1]:.2f} s: {cpu:.2f} x (target {load.cpu or 'none'})")
    return wall <= GRACE * load.wall and (load.cpu is None or cpu <= GRACE * load.cpu)


def main() -> int:
    with fixed_latency_server(DELAY_S) as url, tempfile.TemporaryDirectory() as name:
        environment = with_talk(Path(name))
        return int(not all([compared(load, url, Path(name), environment) for load in LOADS]))


if __name__ == "__main__":
    sys.exit(main())
