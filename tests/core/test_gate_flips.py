"""The small store of a night's changed samples: what it holds, its bound, and how it reads."""

import pytest
from stored_runs import stored_run

from harness.cli.gate_command import command as gate_command
from harness.decisions import flips
from harness.errors import StoreError
from harness.report.build import build
from harness.report.load import FILE, load
from harness.report.render import render
from harness.storage.records import Attempt, CallRecord
from harness.storage.store import Store
from harness.storage.store_part import Wanted, copy_some

GOOD = [1.0] * 60 + [0.0] * 40


def gate(*words):
    return gate_command.main([str(word) for word in words], standalone_mode=False)


@pytest.fixture
def baseline(tmp_path):
    path = tmp_path / "b.json"
    assert gate(stored_run(tmp_path / "base", {"sums": GOOD, "words": GOOD}), "--save", path) == 0
    return path


def final(path):
    store = Store(path, readonly=True)
    found = {(one.item.task, one.item.sample): one for one in store.attempts() if one.final}
    return store, found


def test_it_holds_the_changed_samples_and_reads_as_part_of_a_run(tmp_path, baseline, capsys):
    night = stored_run(tmp_path / "night", {"sums": [0.0] * 30 + GOOD[30:], "words": [*GOOD[:99], 1.0]})
    out = tmp_path / "changed.sqlite"
    assert gate(night, "--baseline", baseline, "--flips", out) == 4
    store, found = final(out)
    store.close()
    assert set(found) == {*(("sums", f"s{n}") for n in range(30)), ("words", "s99")}
    assert "31 changed samples" in capsys.readouterr().err
    text = render([build(load(str(out)))], "table")
    assert "holds: only the samples that changed from the baseline, of night" in text
    assert "sums" in text and "70 episodes were not played yet" in text, "no score of chosen samples"
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith("changed")] == [out.name]


def test_a_night_without_changes_replaces_the_file_with_an_empty_one(tmp_path, baseline):
    out = tmp_path / "changed.sqlite"
    out.write_text("of another night")
    assert gate(tmp_path / "base", "--baseline", baseline, "--flips", out) == 0
    store, found = final(out)
    store.close()
    assert found == {}


def talking(directory, chars):
    """A run of three samples with one call each, of about so many stored bytes."""
    store = Store(stored_run(directory, {"sums": ["", "", ""]}) / FILE)
    for n, size in enumerate(chars):
        text = "".join(chr(0x4E00 + (n + k * k * 7919) % 20_000) for k in range(size))
        calls = [CallRecord(0, f"prompt {text}", f"reply {n}")]
        store.add(Attempt("sums", 1, f"s{n}", 0, "scored", 1.0, calls=calls))
    store.close()
    return directory / FILE


def test_its_calls_are_whole_and_what_is_too_large_is_left_out_and_counted(tmp_path):
    source = talking(tmp_path / "r", [10, 60_000, 20])
    wanted = [Wanted("sums", 1, f"s{n}") for n in range(3)]
    copied = copy_some(source, tmp_path / "c.sqlite", wanted, told="some", most_bytes=20_000)
    assert copied == (2, 1)
    (store, found), (whole, known) = final(tmp_path / "c.sqlite"), final(source)
    assert [sample for _, sample in sorted(found)] == ["s0", "s2"]
    for key, one in found.items():
        assert one == known[key]
        assert store.calls(one.id) == whole.calls(one.id) != []
    store.close()
    whole.close()


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    source = talking(tmp_path / "r", [1])
    with pytest.raises(StoreError, match="give a file in a writable folder"):
        copy_some(source, tmp_path / "none" / "c.sqlite", [], told="", most_bytes=1)


def test_the_tasks_that_are_worse_come_first(tmp_path, baseline):
    from harness.decisions import baseline_file, run_facts
    from harness.decisions.gate import judge
    from harness.decisions.levels import Levels

    night = stored_run(tmp_path / "night", {"sums": [0.0, *GOOD[1:]], "words": [0.0] * 30 + GOOD[30:]})
    run = load(str(night)), run_facts.read(str(night))
    verdict = judge([run], baseline_file.read(baseline), Levels())
    assert [one.task for one in flips.wanted(verdict, run[1])] == ["words"] * 30 + ["sums"]
