"""Tasks that write wait for their own sites alone: how long 40 of them take, and in which order they play."""

from __future__ import annotations

import asyncio
import itertools
import random
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import virtual_time
from contexts import task_context

from harness.errors import MissingPart
from harness.running.activity import Activity
from harness.running.admission import Budget
from harness.running.expected import Expected
from harness.running.queue import EpisodeQueue, PlannedEpisode, ordered
from harness.running.scheduler import Scheduler, TaskQueue
from harness.running.site_locks import SiteLocks
from harness.running.sites import part
from harness.types import Capacity, Sample
from tasks.webarena import config
from tasks.webarena.sites import SITES, STATEFUL
from tasks.webarena.task import TASK

COUNT = 40
SHORTEST_S, LONGEST_S = 5.0, 60.0


class Line(NamedTuple):
    """One line of the log: which sample played, and when."""

    sample: Sample
    began: float
    ended: float


@pytest.fixture
def all_samples(mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Sample]:
    """The 812 in their order, with the locks that they are given."""
    monkeypatch.delenv(config.NAMED, raising=False)
    monkeypatch.chdir(tmp_path)
    for number, site in enumerate(SITES):
        monkeypatch.setenv(site.upper(), f"http://{site.replace('_', '-')}.example:{8000 + number}")
    return list(TASK.samples(task_context(TASK, mirror / "webarena", tmp_path)))


@pytest.fixture
def writers(all_samples: list[Sample]) -> list[Sample]:
    """Those that change a site."""
    return [one for one in all_samples if one.locks]


def test_the_812_are_divided_by_site_in_two_and_not_in_three(all_samples: list[Sample]) -> None:
    """Tasks on GitLab or the shop together with the forum join these three; the back office stands alone."""
    parts = [part(all_samples, (index, 2)) for index in (1, 2)]
    assert sorted(int(one.id) for each in parts for one in each) == list(range(812))
    first, second = ({name for one in each for name in (*one.locks, *one.shares)} for each in parts)
    assert len(first) == 3 and len(second) == 1 and not first & second
    with pytest.raises(MissingPart, match="--shard i/2"):
        part(all_samples, (1, 3))


def some(writers: list[Sample], chance: random.Random, *, both: int = 0) -> list[Sample]:
    """40 of them in the order of the file: `both` that hold two sites, of each site as many of the others."""
    chosen = chance.sample([one for one in writers if len(one.locks) == 2], both)
    for site in STATEFUL:
        alone = [one for one in writers if one.labels["site"] == site and len(one.locks) == 1]
        chosen += chance.sample(alone, (COUNT - both) // len(STATEFUL))
    return sorted(chosen, key=lambda one: int(one.id))


async def played(samples: list[Sample], lasts: dict[str, float], locks: Path) -> list[Line]:
    """Play samples under the scheduler, each for its time, and log them by their start."""
    loop, log = asyncio.get_running_loop(), list[Line]()

    @asynccontextmanager
    async def world():
        yield SimpleNamespace(capacity=Capacity(), fingerprint={})

    async def play(world, episode: PlannedEpisode, activity: Activity) -> bool:
        began = loop.time()
        await asyncio.sleep(lasts[episode.sample.id])
        log.append(Line(episode.sample, began, loop.time()))
        return False

    planned = ordered([PlannedEpisode(sample, 0) for sample in samples], Expected(12))
    queue = TaskQueue("webarena", EpisodeQueue(planned), world, play, lambda error: pytest.fail(str(error)))
    await Scheduler(Budget(16, 1e6, 16), SiteLocks("", locks)).run([queue])
    return sorted(log, key=lambda line: line.began)


def lanes(log: list[Line]) -> list[list[Line]]:
    """What each site was held for, in this order; checked to be the file's, one task after the other."""
    names = sorted({name for line in log for name in line.sample.locks})
    found = [[line for line in log if name in line.sample.locks] for name in names]
    for lane in found:
        ids = [int(line.sample.id) for line in lane]
        assert ids == sorted(ids)
        for before, after in itertools.pairwise(lane):
            assert before.ended <= after.began, "two that write are never on one site together"
    return found


@pytest.mark.parametrize("seed", range(3))
def test_40_writers_over_4_sites_take_as_long_as_the_longest_lane(
    writers: list[Sample], tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    samples = some(writers, chance)
    lasts = {one.id: chance.uniform(SHORTEST_S, LONGEST_S) for one in samples}
    log = virtual_time.run(played(samples, lasts, tmp_path / "locks"))
    assert len({line.sample.id for line in log}) == len(log) == COUNT
    found = lanes(log)
    assert len(found) == len(STATEFUL)
    longest = max(sum(lasts[line.sample.id] for line in lane) for lane in found)
    assert longest <= max(line.ended for line in log) + 1e-6 <= 1.15 * longest


@pytest.mark.parametrize("seed", range(3))
def test_tasks_of_two_sites_wait_for_both_and_hold_up_no_other_site(
    writers: list[Sample], tmp_path: Path, seed: int
) -> None:
    """A task can begin when the last one before it has left its sites, and then it begins."""
    chance = random.Random(seed)
    samples = some(writers, chance, both=4)
    lasts = {one.id: chance.uniform(SHORTEST_S, LONGEST_S) for one in samples}
    log = virtual_time.run(played(samples, lasts, tmp_path / "locks"))
    lanes(log)
    assert len(log) == COUNT
    free: dict[str, float] = {}
    earliest: dict[str, float] = {}
    for one in samples:
        earliest[one.id] = max(free.get(name, 0.0) for name in one.locks)
        free.update(dict.fromkeys(one.locks, earliest[one.id] + lasts[one.id]))
    assert {line.sample.id: line.began for line in log} == pytest.approx(earliest)
