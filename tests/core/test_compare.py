"""Comparing stored runs: verdicts, refusals, exit codes."""

import pytest
from stored_runs import stored_run

from harness.cli.compare_command import command as compare_command
from harness.errors import UsageError

GOOD = [1.0] * 60 + [0.0] * 40
WORSE = [1.0] * 40 + [0.0] * 60


def compare(*words):
    return compare_command.main([str(word) for word in words], standalone_mode=False)


def test_compare_names_the_verdict_and_the_changed_samples(tmp_path, capsys):
    a = stored_run(tmp_path / "a", {"sums": GOOD, "words": GOOD})
    b = stored_run(tmp_path / "b", {"sums": WORSE, "words": GOOD}, served={"model_sha": "b"})
    assert compare(a, b) == 0
    text = capsys.readouterr().out
    assert "60.00 -> 40.00  -20.00" in text
    assert "20 fell: s40, s41" in text
    assert "worse" in text and "no difference seen" in text
    assert "model_sha" in text.split("may be the cause")[1]


def test_compare_refuses_what_does_not_measure_the_same_unless_forced(tmp_path, capsys):
    a = stored_run(tmp_path / "a", {"sums": GOOD})
    b = stored_run(tmp_path / "b", {"sums": GOOD}, version=2, profile="fixed")
    with pytest.raises(
        UsageError, match=r'profile: "paper" there, "fixed" here\n.*sums.version: 1 there, 2 here'
    ):
        compare(a, b)
    assert compare(a, b, "--force") == 0
    assert "≈ sums" in capsys.readouterr().out


def test_compare_of_an_unjudged_task_exits_3(tmp_path, capsys):
    a = stored_run(tmp_path / "a", {"sums": GOOD, "talk": ["pending"]})
    assert compare(a, a) == 3
    assert "harness judge a --judge NAME" in capsys.readouterr().out


def test_compare_refuses_a_run_that_keeps_thoughts_beside_one_that_takes_them_out(tmp_path, capsys):
    a = stored_run(tmp_path / "a", {"sums": GOOD})
    b = stored_run(tmp_path / "b", {"sums": GOOD}, reasoning="keep")
    with pytest.raises(UsageError, match=r'reasoning: .* there, "keep" here'):
        compare(a, b)
    assert compare(a, a) == compare(b, b) == 0
