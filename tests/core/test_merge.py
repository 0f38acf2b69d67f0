"""`harness merge`: shards become one run; what is no shard of it, or counted twice, is refused by name."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from command import harness

from harness.errors import StoreError, UsageError
from harness.storage.manifest import config_hash
from harness.storage.merge import FILE, merge
from harness.storage.store import Attempt, CallRecord, EpisodeKey, Store

WHOLE = tuple(f"s{n}" for n in range(6))


def shard(directory: Path, index: int, count: int = 3, **changes: Any) -> Path:
    """Write a finished run with --shard index/count of six samples.

    Args:
        directory: of the run.
        index: counted from 1.
        count: of all shards.
        changes: keys of the configuration, or `version`, `whole`, `identity`, `judge`, `played`, `failed`,
            `extra` (a further sample that the shard played although it is not its own).
    """
    whole = changes.pop("whole", WHOLE)
    version, identity = changes.pop("version", 1), changes.pop("identity", {"sha": "a"})
    judge, extra = changes.pop("judge", "gpt-4"), changes.pop("extra", ())
    mine = whole[index - 1 :: count]
    played: Iterable[str] = changes.pop("played", mine)
    failed = changes.pop("failed", ())
    facts = {"version": version, "options": {}, "source": "mirror", "data": "d"}
    facts |= {"samples": config_hash({"ids": list(mine)}), "count": len(mine)}
    usual = {"model": "m", "profile": "paper", "decoding": "protocol", "seed": 0, "roles": [], "repeats": 1}
    usual |= {"judge": None, "suites": {}, "tasks": {"absent": facts}, "shard": [index, count]}
    with closing(Store(directory / FILE)) as store:
        store.set_meta("config", usual | changes)
        store.set_meta("specs", {"absent": {"metric": "accuracy", "unit": "percent", "excepts": {}}})
        store.set_meta("whole", {"absent": list(whole)})
        store.set_meta("identity", identity)
        store.set_meta("model", {"kind": "tgi", "endpoints": [{"url": f"http://replica-{index}"}]})
        store.set_meta("judge/absent", {"judge": judge, "k": 1})
        store.set_meta("counts/absent", {"calls": len(mine), "imputed:2": index})
        store.set_meta("traits/absent", ["imputed:2"])
        store.add_command({"argv": ["harness", "run", f"--shard={index}/{count}"]})
        store.plan([EpisodeKey("absent", version, sample, 0) for sample in mine])
        for sample in failed:
            store.add(Attempt("absent", version, sample, 0, "infra_error", error="gone"))
        for sample in (*played, *extra):
            calls = [CallRecord(n, f"{sample} asks {n}", f"{sample} says {n}") for n in range(3)]
            store.add(Attempt("absent", version, sample, 0, "scored", 1.0, calls=calls))
    return directory / FILE


def shards(folder: Path, **changes: Any) -> list[Path]:
    return [shard(folder / f"part{n}", n, **changes) for n in (1, 2, 3)]


def merged(tmp_path: Path, given: list[Path]):
    return merge(tmp_path / FILE, given)


def test_shards_become_one_run(tmp_path: Path):
    done = merged(tmp_path, shards(tmp_path))
    assert (done.ended, done.planned, done.missing) == (6, 6, ())
    with closing(Store(tmp_path / FILE, readonly=True)) as store:
        found = {attempt.item.sample: attempt.id for attempt in store.attempts()}
        assert sorted(found) == list(WHOLE)
        for sample, number in found.items():
            assert [call.reply for call in store.calls(number)] == [f"{sample} says {n}" for n in range(3)]
            assert [call.prompt for call in store.calls(number)] == [f"{sample} asks {n}" for n in range(3)]
        config = store.meta("config")
        assert config["shard"] is None
        assert config["tasks"]["absent"]["samples"] == config_hash({"ids": list(WHOLE)})
        assert config["tasks"]["absent"]["count"] == 6
        assert store.meta("counts/absent") == {"calls": 6, "imputed:2": 6}
        assert [end["url"][-1] for end in store.meta("model")["endpoints"]] == ["1", "2", "3"]
        assert len(store.commands()) == 3


def test_verdicts_and_failures_come_along(tmp_path: Path):
    given = shards(tmp_path, played=(), failed=("s0", "s1", "s2", "s3", "s4", "s5"))
    with closing(Store(given[1])) as store:
        store.add(Attempt("absent", 1, "s1", 0, "scored", 0.5))
        (final,) = store.attempts(final_only=True)
        store.put_verdict(final.id, "turn-1", 0, "gpt-4", "hash", "Rating: [[5]]")
        store.begin(EpisodeKey("absent", 1, "s4", 0))
    merged(tmp_path, given)
    with closing(Store(tmp_path / FILE, readonly=True)) as store:
        (final,) = store.attempts(final_only=True)
        assert store.verdicts(final.id, "gpt-4") == {("turn-1", 0): "Rating: [[5]]"}
        assert sum(attempt.outcome == "infra_error" for attempt in store.attempts()) == 18
        assert store.begun(EpisodeKey("absent", 1, "s4", 0))


def test_what_is_missing_is_named(tmp_path: Path):
    one, _, three = shards(tmp_path)
    done = merged(tmp_path, [one, three])
    assert (done.ended, done.planned) == (4, 6)
    assert done.missing == ("shard 2/3 is missing", "absent lacks 2 episodes: s1, s4")


def test_a_merge_is_merged_with_what_was_missing(tmp_path: Path):
    one, two, three = shards(tmp_path)
    first = tmp_path / "first"
    first.mkdir()
    merge(first / FILE, [one, three])
    assert merged(tmp_path, [first / FILE, two]).missing == ()


STRANGERS = [
    ({"version": 2}, r"tasks.absent.version: 1 there, 2 here"),
    ({"profile": "fixed"}, r'profile: "paper" there, "fixed" here'),
    ({"whole": WHOLE[:5]}, r"tasks.absent.count: 6 there, 5 here"),
    ({"whole": (*WHOLE[:5], "other")}, r"tasks.absent.samples"),
    ({"identity": {"sha": "b"}}, r'identity.sha: "a" there, "b" here'),
    ({"judge": "gpt-5"}, r'judge/absent.judge: "gpt-4" there, "gpt-5" here'),
]


@pytest.mark.parametrize(("changes", "told"), STRANGERS)
def test_another_runs_shards_are_refused(changes: dict[str, Any], told: str, tmp_path: Path):
    given = [shard(tmp_path / "one", 1), shard(tmp_path / "two", 2, **changes)]
    with pytest.raises(UsageError, match=told) as refusal:
        merged(tmp_path, given)
    assert str(tmp_path / "two") in str(refusal.value) and "no shards of one run" in str(refusal.value)
    assert not (tmp_path / FILE).exists()


def test_a_shard_given_twice_is_refused(tmp_path: Path):
    one, again = shard(tmp_path / "one", 1), shard(tmp_path / "again", 1, played=())
    with pytest.raises(UsageError, match=r"shard 1/3 .*again.* given already as .*one"):
        merged(tmp_path, [one, again])
    with pytest.raises(UsageError, match="give each shard once"):
        merged(tmp_path, [one, one.parent / ".." / "one" / FILE])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "one"]


def test_two_final_attempts_are_refused_and_none_is_chosen(tmp_path: Path):
    given = [
        shard(tmp_path / "one", 1),
        shard(tmp_path / "two", 2),
        shard(tmp_path / "odd", 3, extra=("s4",)),
    ]
    told = r"absent s4 repeat 0 has a final attempt both in shard 2/3 .*two\) and in shard 3/3"
    with pytest.raises(UsageError, match=told):
        merged(tmp_path, given)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["odd", "one", "two"]


def test_shards_of_two_divisions_that_overlap_are_refused(tmp_path: Path):
    with pytest.raises(UsageError, match=r"absent s0 .*shard 1/2 .* shard 1/3"):
        merged(tmp_path, [shard(tmp_path / "half", 1, 2), shard(tmp_path / "third", 1, 3)])


def test_a_damaged_store_is_no_shard(tmp_path: Path):
    one, two, _ = shards(tmp_path)
    two.write_bytes(two.read_bytes()[:5000])
    with pytest.raises(StoreError, match=r"part2"):
        merged(tmp_path, [one, two])
    with closing(sqlite3.connect(tmp_path / "none.sqlite")) as db:
        db.execute("CREATE TABLE other(x)")
    with pytest.raises(StoreError, match="another program"):
        merged(tmp_path, [one, tmp_path / "none.sqlite"])
    assert not (tmp_path / FILE).exists()


def test_the_command(tmp_path: Path):
    shards(tmp_path)
    done = harness(tmp_path, "merge", "all", "part1", "part3")
    assert done.returncode == 3, done.stderr
    assert "all holds 4 of 6 episodes" in done.stdout and "shard 2/3 is missing" in done.stdout
    done = harness(tmp_path, "merge", "all", "part1", "part2", "part3")
    assert done.returncode == 2 and "all/run.sqlite exists" in done.stderr
    done = harness(tmp_path, "merge", "new/all", "part1", "part1")
    assert done.returncode == 2 and not (tmp_path / "new/all").exists()
    done = harness(tmp_path, "merge", "new/all", "part1", "part9")
    assert done.returncode == 2 and "part9" in done.stderr
    done = harness(tmp_path, "merge", "new/all", "part1", "part2", "part3")
    assert done.returncode == 0, done.stderr
    assert "new/all holds 6 of 6 episodes" in done.stdout
