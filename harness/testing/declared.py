"""The lines of the contract on what a task declares: it is of the declared types, and is what it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.running.bench import Attempt, Bench
from harness.testing.opened import LINES, Opened, in_loop
from harness.types import Capacity, Chat, Need, Sample, TaskConfig
from harness.types.options import declared


class Declared(Opened):
    """What a task says of itself."""

    @in_loop
    async def test_exceptions_are_few_and_reasoned(self, bench: Bench) -> None:
        excepts = bench.task.spec.excepts
        assert len(excepts) <= 2
        assert set(excepts) <= set(LINES)
        assert all(len(reason) > 20 for reason in excepts.values())

    @in_loop
    async def test_samples_are_stable_and_unique(self, bench: Bench) -> None:
        for split in bench.task.spec.splits:
            cfg = replace(bench.ctx, split=split)
            first, again = bench.task.samples(cfg), bench.task.samples(cfg)
            assert [about(sample) for sample in first] == [about(sample) for sample in again]
            assert len({sample.id for sample in first}) == len(first) > 0
        assert list(map(about, bench.samples)) == list(
            map(about, bench.task.samples(replace(bench.ctx, split=bench.task.spec.splits[0])))
        )

    @in_loop
    async def test_samples_are_of_the_declared_types(self, bench: Bench) -> None:
        for sample in bench.samples:
            assert type(sample.id) is str and sample.id == sample.id.strip() != ""
            texts = [*sample.labels, *sample.labels.values(), sample.cluster, *sample.locks, *sample.shares]
            assert [text for text in texts if type(text) is not str] == []
            assert "" not in [*sample.labels, *sample.locks, *sample.shares]
            assert (type(sample.locks), type(sample.shares)) == (tuple, tuple)
            assert sample.turns is None or (type(sample.turns) is int and sample.turns > 0)
        labels = {tuple(sorted(sample.labels)) for sample in bench.samples}
        assert len(labels) == 1, "a label that only some samples have makes groups without a name"

    @in_loop
    async def test_a_row_stored_before_labels_were_gets_the_same_ones(
        self, bench: Bench, alone: Mapping[str, Attempt]
    ) -> None:
        """`old_labels` may know only some of them; it reads the id and what a finished episode measured."""
        for sample in bench.samples[:4]:
            attempt = alone[sample.id]
            assert (attempt.labels, attempt.cluster) == (sample.labels, sample.cluster)
            old = bench.task.old_labels(sample.id, bench.score(attempt).metrics)
            assert {name: sample.labels[name] for name in old} == dict(old)

    @in_loop
    async def test_the_world_is_of_the_declared_types(self, bench: Bench) -> None:
        world = bench.world
        assert type(world.capacity) is Capacity
        assert world.capacity.memory_mb > 0 and world.capacity.cpu > 0
        assert world.capacity.live is None or world.capacity.live > 0
        assert isinstance(world.fingerprint, Mapping)
        assert all(type(text) is str for pair in world.fingerprint.items() for text in pair)
        for lines in (world.notes, world.stand_ins):
            assert type(lines) is tuple and all(type(line) is str and line for line in lines)
        assert type(world.comparable) is str
        assert type(world.replayable) is bool
        if world.replayable:
            assert await world.restore(bench.samples[0]) == "", "nothing may be left that has to be undone"

    @in_loop
    async def test_history_names_a_policy_under_every_option(self, bench: Bench) -> None:
        for cfg in configurations(bench):
            bench.check_history(cfg)

    @in_loop
    async def test_needs_name_a_fix_and_their_check_returns(self, bench: Bench) -> None:
        for cfg in configurations(bench):
            for need in bench.task.needs(cfg):
                assert need.name and need.fix and need.stage in ("play", "judge", "rank", "draw")
                assert need.missing() is None or isinstance(need.missing(), str)

    @in_loop
    async def test_roles_are_those_that_are_used(self, bench: Bench, alone: Mapping[str, Attempt]) -> None:
        """By the task's needs under any options, by its world, or by who values its answers."""
        spec, asked = bench.task.spec, Asked()
        episode = await bench.world.episode(bench.samples[0], asked, 5)
        await episode.close()
        used = asked.roles | {
            role for cfg in configurations(bench) for role in needed_roles(bench.task.needs(cfg))
        }
        if bench.judged:
            pending = [attempt.pending for attempt in alone.values() if attempt.pending is not None]
            used |= {item.role for one in pending for item in one.items} or {"judge"}
        assert sorted(spec.roles) == sorted(used)

    @in_loop
    async def test_private_data_goes_to_no_judge(self, bench: Bench) -> None:
        """A judge's questions are stored with prompt and answer, which a private task must not have."""
        spec = bench.task.spec
        assert not (spec.private and ("judge" in spec.roles or spec.paper_judge))


def about(sample: Sample) -> tuple[object, ...]:
    """All that the loop, the store and the report read of a sample."""
    return sample.id, dict(sample.labels), sample.cluster, sample.locks, sample.shares, sample.turns


def configurations(bench: Bench) -> Iterator[TaskConfig]:
    """Both profiles, on real and on fixture data, and every choice of every option."""
    for profile in ("paper", "fixed"):
        for source in ("mirror", "fixture"):
            start = bench.context(profile, source)
            yield start
            for option in declared(bench.task.Options):
                for choice in (False, True) if option.kind is bool else option.choices:
                    yield replace(start, options=replace(start.options, **{option.name: choice}))


class Asked(dict[str, Chat]):
    """No auxiliary models; remembers which were looked for."""

    def __init__(self) -> None:
        self.roles: set[str] = set()

    def get(self, role: str, default: Any = None) -> Any:
        self.roles.add(role)
        return default

    def __contains__(self, role: object) -> bool:
        self.roles.add(str(role))
        return False

    def __getitem__(self, role: str) -> Chat:
        self.roles.add(role)
        raise KeyError(role)


def needed_roles(needs: Sequence[Need]) -> set[str]:
    """The roles that a task's needs name."""
    return {need.name.removeprefix("role ") for need in needs if need.name.startswith("role ")}
