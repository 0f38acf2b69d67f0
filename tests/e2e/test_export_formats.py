"""Formats of an export: what is left out and why, where each row comes from, and that loaders read them."""

from __future__ import annotations

import json
import os
import resource
import shutil
from pathlib import Path
from typing import Any

import pytest
from command import harness
from exported_runs import exported, stored

from harness.errors import UsageError
from harness.export.episodes import Choice, Run
from harness.export.write import export
from harness.storage.records import Attempt, CallRecord, Turn
from harness.types import Ask, JudgeAsk, Message, Outcome, Pending

FORMATS = ("agentinstruct", "sharegpt", "openai", "parquet", "replay", "inspect")
HOSTILE = "<script>x</script>\x1b[31m\x00\u202e\ud800"
OPEN = Choice(allow_test=True)


def attempt(sample: str, value: float | None, text: str = "", outcome: Outcome = "scored") -> Attempt:
    question = Turn((Message("user", f"What is {text or sample}?"),), ask=Ask(8))
    call = CallRecord(0, "p", f"It is {text or sample}.", {"finish_reason": "eos_token"}, turn=question)
    found = Attempt("gsm8k", 2, sample, 0, outcome, value, calls=[call], metrics={"paper": value or 0.0})
    if value is None:
        found.pending = Pending((JudgeAsk("turn-1", (), Ask(8)),))
    return found


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A right and a wrong answer, one cut off, one twice, one that waits for a judge, and a hostile one."""
    attempts = [
        attempt("a", 1.0),
        attempt("b", 0.0),
        attempt("c", 0.5, outcome="limit"),
        attempt("d", 1.0, "a"),
        attempt("e", None),
        attempt("f", 1.0, HOSTILE),
    ]
    return stored(tmp_path / "mine/run.sqlite", attempts)


def samples(path: Path, **chosen: Any) -> list[str]:
    lines, _ = exported(path, "sharegpt", Choice(allow_test=True, **chosen))
    return [line["harness"]["sample"] for line in lines]


def test_filters_and_dedup(run: Path):
    assert samples(run) == list("abcdef")
    assert samples(run, least=1.0) == list("adf")
    assert samples(run, most=0.4) == ["b"]
    assert samples(run, outcomes=("limit",)) == ["c"]
    assert samples(run, dedup=True) == list("abcef")
    assert samples(run, tasks=("gsm8k",), least=0.1, most=0.9) == ["c"]
    assert samples(run, profile="paper", least=0.1) == list("acdf")
    _, tally = exported(run, "sharegpt")
    assert dict(tally.notes) == {
        "have no value yet and wait for their judge (harness judge RUN --judge NAME)": 1
    }
    _, tally = exported(run, "sharegpt", Choice(allow_test=True, least=1.0))
    assert dict(tally.left_out) == {
        "have another value": 2,
        "wait for their judge (harness judge RUN --judge NAME)": 1,
    }
    with pytest.raises(UsageError, match="are not graded by the profile fixed"):
        samples(run, profile="fixed")
    with pytest.raises(UsageError, match="unknown task in a-run 'gsm8': did you mean gsm8k"):
        samples(run, tasks=("gsm8",))


def test_every_row_says_where_it_comes_from(run: Path):
    lines, _ = exported(run, "agentinstruct")
    first = lines[0]
    assert first["id"] == "gsm8k/a#0.0"
    assert first["conversations"] == [
        {"from": "human", "loss": None, "value": "What is a?"},
        {"from": "gpt", "loss": True, "value": "It is a."},
    ]
    wanted = {
        "run": "a-run", "served": "m-7b", "model_sha": "abc", "template": "llama2-chat", "template_sha": "t",
        "commit": "c0ffee", "task": "gsm8k", "version": 2, "sample": "a", "repeat": 0, "split": "test",
        "outcome": "scored", "reward": 1.0, "metrics": '{"paper":1.0}', "finish": ["", "eos_token"],
    }  # fmt: skip
    assert {key: first["harness"][key] for key in wanted} == wanted


def test_samples_that_models_are_measured_on_are_not_for_training(run: Path, tmp_path: Path):
    for form in ("agentinstruct", "sharegpt", "openai"):
        done = harness(tmp_path, "export", "mine", "x", "--format", form)
        assert done.returncode == 2
        assert done.stderr.startswith("harness: models are measured on these samples")
        assert "gsm8k (test)" in done.stderr and "--allow-test" in done.stderr
        assert not (tmp_path / "x").exists()
    allowed = harness(tmp_path, "export", "mine", "--format", "openai", "--allow-test", "--min-value", "1")
    assert allowed.returncode == 0, allowed.stderr
    assert allowed.stdout == "mine-openai.jsonl holds 3 conversations of 3 episodes\n"
    assert "left out: 1 wait for their judge" in allowed.stderr
    lines, _ = exported(
        stored(tmp_path / "train.sqlite", [attempt("a", 1.0)], split="train"), "openai", Choice()
    )
    assert len(lines) == 1


def test_what_cannot_be_exported_is_one_line_and_no_file(run: Path, tmp_path: Path):
    stored(tmp_path / "none/run.sqlite", [attempt("a", None, outcome="infra_error")])
    cases = [
        (("none", "--format", "replay"), "none has no episode to export: none has ended"),
        (("mine", "--format", "replay", "--dedup"), "leave it out"),
        (("mine", "--format", "replay", "--outcome", "model_error"), "6 have another outcome"),
        (("mine", "--format", "store", "--min-value", "1"), "leave out what chooses episodes"),
        (("mine", "--format", "csv"), "'csv' is not one of"),
        (("nine", "--format", "replay"), "did you mean none or mine"),
    ]
    for words, says in cases:
        done = harness(tmp_path, "export", *words, "--results", ".")
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert says in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == ["mine", "none"]


def written(path: Path, form: str, out: Path) -> Path:
    with Run(path, "a-run") as opened:
        export(opened, form, OPEN, out)
    return out


def test_hostile_texts_are_in_every_format(run: Path, tmp_path: Path):
    wanted = f"It is {HOSTILE}.".replace("\ud800", "\ufffd")
    for form in FORMATS:
        out = written(run, form, tmp_path / form)
        if form != "parquet":
            text = out.read_text(encoding="utf-8")
            lines = [text] if form == "inspect" else text.splitlines()
            assert any(HOSTILE[:8] in line for line in lines) and all(json.loads(line) for line in lines)
    parquet: Any = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(tmp_path / "parquet").to_pylist()
    assert [row["sample"] for row in table] == list("abcdef")
    assert table[-1]["messages"][-1]["content"] == wanted
    assert [row["reward"] for row in table] == [1.0, 0.0, 0.5, 1.0, None, 1.0]
    log = json.loads((tmp_path / "inspect").read_text(encoding="utf-8"))
    assert [sample["messages"][-1]["content"] for sample in log["samples"]][-1] == wanted
    assert [sample["scores"].get("accuracy", {}).get("value") for sample in log["samples"]] == [
        1.0, 0.0, 0.5, 1.0, None, 1.0,
    ]  # fmt: skip


def test_a_store_of_version_1_gives_prompts_as_sent(root: Path, tmp_path: Path):
    shutil.copy(root / "tests/core/wave1/run.sqlite", tmp_path / "run.sqlite")
    lines, tally = exported(tmp_path / "run.sqlite", "sharegpt")
    assert lines and all(line["harness"]["raw"] for line in lines)
    assert tally.notes["are of store version 1: prompts as sent, whose roles are not known"] >= len(lines)
    assert exported(tmp_path / "run.sqlite", "replay")[0][0]["replies"]


@pytest.mark.parametrize("more", [(), ("--trace-private",)])
def test_a_private_task_gives_ids_and_letters_alone(tmp_path: Path, more: tuple[str, ...]):
    words = ("--task", "mind2web", "--mirror", "fixture", "--no-report", "--out", "mine", *more)
    assert harness(tmp_path, "run", "--model", "oracle", *words).returncode == 0
    done = harness(tmp_path, "export", "mine", "--format", "openai", "--allow-test")
    assert (done.returncode, "not to be spread" in done.stderr) == (2, True), done.stderr
    done = harness(tmp_path, "export", "mine", "replay", "--format", "replay")
    assert ("keep no replies" in done.stderr) == (not more)
    lines = (tmp_path / "replay").read_text().splitlines()
    assert any(json.loads(line)["replies"] for line in lines) == bool(more), "for rescoring, of a traced run"
    pq: Any = pytest.importorskip("pyarrow.parquet")
    rows = pq.read_table(written(tmp_path / "mine/run.sqlite", "parquet", tmp_path / "p")).to_pylist()
    assert all(row["messages"] == [] and row["answer"] == row["target"] == "" for row in rows)
    assert any("answers A B" in row["note"] for row in rows)
    log = written(tmp_path / "mine/run.sqlite", "inspect", tmp_path / "i").read_text()
    assert "sha256:" not in log and "answers A B" in log


@pytest.mark.slow
def test_datasets_loads_them(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    datasets: Any = pytest.importorskip("datasets")
    for form in ("agentinstruct", "sharegpt", "openai", "parquet"):
        out = written(run, form, tmp_path / f"one.{'parquet' if form == 'parquet' else 'jsonl'}{form}")
        kind = "parquet" if form == "parquet" else "json"
        loaded = datasets.load_dataset(
            kind, data_files=str(out), split="train", cache_dir=str(tmp_path / "cache")
        )
        assert len(loaded) == 6
        first = loaded[0]
        texts = first.get("messages") or first["conversations"]
        assert any("It is a." in one.values() for one in texts)


def test_pages_give_every_episode_once(run: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("harness.storage.store.PAGE", 2)
    assert samples(run) == list("abcdef")


def test_repeats_are_told_apart_in_a_replay(tmp_path: Path):
    attempts = [attempt("a", 1.0, text) for text in ("one", "two")]
    attempts[1].repeat = 1
    lines, _ = exported(stored(tmp_path / "run.sqlite", attempts, repeats=2), "replay")
    assert [(line["repeat"], line["replies"]) for line in lines] == [(0, ["It is one."]), (1, ["It is two."])]


@pytest.mark.parametrize("form", ["openai", "parquet"])
def test_a_full_disk_leaves_no_half_file(tmp_path: Path, form: str):
    """A limit on the size of files stands in for a full disk: the write really fails."""
    many = [attempt(f"s{n}", 1.0, os.urandom(20_000).hex()) for n in range(30)]
    stored(tmp_path / "mine/run.sqlite", many)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limits[1]))
    try:
        done = harness(tmp_path, "export", "mine", "out", "--format", form, "--allow-test")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (done.returncode, done.stdout) == (3, ""), done.stderr
    assert "make room there" in done.stderr and done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["mine"]


def test_parquet_without_its_package_names_the_fix(run: Path, tmp_path: Path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site/pyarrow.py").write_text("raise ImportError('not here')")
    done = harness(tmp_path, "export", "mine", "out", "--format", "parquet", site=tmp_path / "site")
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'agenttuning-harness[hf]'" in done.stderr
    assert not (tmp_path / "out").exists()
