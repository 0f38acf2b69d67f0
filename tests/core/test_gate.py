"""The gate on stored runs: verdicts, exit codes, files."""

import json
import random
from datetime import date
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from junit_schema import check
from stored_runs import stored_run

from harness.cli.gate_command import command as gate_command
from harness.cli.gate_rerun import arguments
from harness.cli.report_command import command as report_command
from harness.decisions import baseline_file, junit, ledger, ledger_page, ledger_text
from harness.decisions.gate import GateVerdict
from harness.decisions.levels import Levels
from harness.errors import UsageError

GOOD = [1.0] * 60 + [0.0] * 40
WORSE = [1.0] * 40 + [0.0] * 60


def gate(*words):
    return gate_command.main([str(word) for word in words], standalone_mode=False)


@pytest.fixture
def baseline(tmp_path):
    stored_run(tmp_path / "base", {"sums": GOOD, "words": GOOD})
    path = tmp_path / "base.json"
    assert gate(tmp_path / "base", "--save", path) == 0
    return path


def verdicts(capsys):
    return json.loads(capsys.readouterr().out)["tasks"]


def test_the_same_results_pass(tmp_path, baseline, capsys):
    stored_run(tmp_path / "night", {"sums": GOOD, "words": GOOD})
    assert gate(tmp_path / "night", "--baseline", baseline) == 0
    assert "gate: pass" in capsys.readouterr().out


def test_a_drop_is_red_and_names_the_task_and_its_samples(tmp_path, baseline, capsys):
    stored_run(tmp_path / "night", {"sums": WORSE, "words": GOOD})
    capsys.readouterr()
    assert gate(tmp_path / "night", "--baseline", baseline, "--format", "json") == 4
    found = verdicts(capsys)
    assert found["sums"]["verdict"] == "regression"
    assert found["words"]["verdict"] == "pass"
    assert found["sums"]["fell"] == [f"s{n}" for n in range(40, 60)]
    assert found["sums"]["difference"] == pytest.approx(-20.0)


def test_a_drop_below_the_minimum_effect_is_no_regression(tmp_path, baseline):
    stored_run(tmp_path / "night", {"sums": WORSE, "words": GOOD})
    assert gate(tmp_path / "night", "--baseline", baseline, "--min-effect", 25) == 0


def test_an_improvement_is_told_and_changes_no_file(tmp_path, baseline, capsys):
    before = baseline.read_bytes()
    stored_run(tmp_path / "night", {"sums": [1.0] * 90 + [0.0] * 10, "words": GOOD})
    capsys.readouterr()
    assert gate(tmp_path / "night", "--baseline", baseline, "--format", "json") == 0
    assert verdicts(capsys)["sums"]["verdict"] == "improvement"
    assert baseline.read_bytes() == before


@pytest.mark.parametrize(
    "tasks",
    [
        {"sums": GOOD},
        {"sums": GOOD, "words": [*GOOD[:-1], ""]},
        {"sums": GOOD, "words": [None, None, *GOOD[2:]]},
        {"sums": GOOD, "words": ["pending", *GOOD[1:]]},
    ],
    ids=["task missing", "not played", "infrastructure", "judge missing"],
)
def test_what_the_baseline_has_and_the_night_lacks_is_no_verdict(tmp_path, baseline, tasks, capsys):
    stored_run(tmp_path / "night", tasks)
    capsys.readouterr()
    assert gate(tmp_path / "night", "--baseline", baseline, "--format", "json") == 3
    assert verdicts(capsys)["words"]["verdict"] == "no verdict"


def test_tolerated_infrastructure_errors_are_paired_away_and_counted(tmp_path, baseline, capsys):
    stored_run(tmp_path / "night", {"sums": GOOD, "words": [None, *GOOD[1:]]})
    capsys.readouterr()
    assert gate(tmp_path / "night", "--baseline", baseline, "--format", "json") == 0
    found = verdicts(capsys)["words"]
    assert (found["samples"], found["lost"]) == (99, 1)


def test_what_the_baseline_never_had_is_told_and_not_judged(tmp_path, capsys):
    stored_run(tmp_path / "base", {"sums": GOOD, "talk": ["pending"] * 4})
    assert gate(tmp_path / "base", "--save", tmp_path / "b.json") == 0
    stored_run(tmp_path / "night", {"sums": GOOD, "talk": ["pending"] * 4, "words": GOOD})
    capsys.readouterr()
    assert gate(tmp_path / "night", "--baseline", tmp_path / "b.json", "--format", "json") == 0
    found = verdicts(capsys)
    assert (found["talk"]["verdict"], found["words"]["verdict"]) == ("not judged", "not judged")


@pytest.mark.parametrize(
    "change",
    [{"version": 2}, {"profile": "fixed"}, {"decoding": "greedy"}, {"model": "other"}],
)
def test_another_measurement_is_not_comparable(tmp_path, baseline, change, capsys):
    stored_run(tmp_path / "night", {"sums": GOOD, "words": GOOD}, **change)
    assert gate(tmp_path / "night", "--baseline", baseline) == 2
    assert "not comparable" in capsys.readouterr().out


def test_another_server_is_named_as_a_possible_cause_and_forbids_nothing(tmp_path, baseline, capsys):
    stored_run(tmp_path / "night", {"sums": WORSE, "words": GOOD}, served={"model_sha": "b"})
    assert gate(tmp_path / "night", "--baseline", baseline) == 4
    assert "model_sha" in capsys.readouterr().out


def test_three_pooled_runs_see_a_smaller_drop_than_one(tmp_path, capsys):
    drawn = random.Random(5)
    flip = lambda values: [1 - v if drawn.random() < 0.05 else v for v in values]  # noqa: E731
    truth = [1.0] * 200 + [0.0] * 100
    runs = [stored_run(tmp_path / f"r{k}", {"sums": flip(truth)}) for k in range(3)]
    assert gate(*runs, "--save", tmp_path / "three.json") == 0
    base = baseline_file.read(tmp_path / "three.json").tasks["sums"]
    assert base.results == 3
    assert base.flip_rate == pytest.approx(0.095, abs=0.03)
    assert base.power["10"] > 0.9
    stored_run(tmp_path / "night", {"sums": flip([1.0] * 176 + [0.0] * 124)})
    assert gate(tmp_path / "night", "--baseline", tmp_path / "three.json") == 4


def test_one_run_says_what_it_cannot_promise(tmp_path, capsys):
    stored_run(tmp_path / "base", {"sums": GOOD[:50]})
    gate(tmp_path / "base", "--save", tmp_path / "b.json")
    assert "three runs or more" in capsys.readouterr().out


def test_runs_of_different_models_or_unfinished_ones_make_no_baseline(tmp_path):
    stored_run(tmp_path / "a", {"sums": GOOD})
    stored_run(tmp_path / "b", {"sums": GOOD}, model="other")
    stored_run(tmp_path / "c", {"sums": [*GOOD[:-2], "", ""]})
    with pytest.raises(UsageError, match=r'model: "m" there, "other" here'):
        gate(tmp_path / "a", tmp_path / "b", "--save", tmp_path / "x.json")
    with pytest.raises(UsageError, match="incomplete in sums"):
        gate(tmp_path / "c", "--save", tmp_path / "x.json")
    assert not (tmp_path / "x.json").exists()


def test_a_baseline_is_not_overwritten_unasked(tmp_path, baseline):
    with pytest.raises(UsageError, match="--replace"):
        gate(tmp_path / "base", "--save", baseline)
    assert gate(tmp_path / "base", "--save", baseline, "--replace") == 0


def test_a_baseline_is_the_same_text_whatever_the_order_of_runs(tmp_path):
    runs = [stored_run(tmp_path / f"r{k}", {"sums": GOOD, "words": [0.25 * k] * 9}) for k in range(2)]
    gate(*runs, "--save", tmp_path / "a.json")
    gate(*reversed(runs), "--save", tmp_path / "b.json")
    first, second = (json.loads((tmp_path / name).read_text())["tasks"] for name in ("a.json", "b.json"))
    assert first == second
    assert first["words"]["samples"]["s0"] == [0.0, 0.25]


def test_six_thousand_samples_fit_in_300_kilobytes(tmp_path):
    tasks = {f"task{t}": [float((n + t) % 2) for n in range(375)] for t in range(16)}
    run = stored_run(tmp_path / "r", tasks)
    gate(run, "--save", tmp_path / "b.json")
    assert (tmp_path / "b.json").stat().st_size <= 300_000
    assert len((tmp_path / "b.json").read_text().splitlines()) < 40


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: "", "cut off"),
        (lambda text: text[: len(text) // 2], "cut off"),
        (lambda text: text.replace('"s0":1', '"s0":0'), "edited"),
        (lambda text: text.replace('"format": 1', '"format": 9'), "format 9"),
        (lambda text: "[" * 100_000, "cut off"),
    ],
)
def test_a_damaged_baseline_is_refused_by_name(tmp_path, baseline, damage, says):
    baseline.write_text(damage(baseline.read_text()))
    stored_run(tmp_path / "night", {"sums": GOOD, "words": GOOD})
    with pytest.raises(UsageError, match=says):
        gate(tmp_path / "night", "--baseline", baseline)


def test_a_second_night_is_asked_for(tmp_path, baseline, capsys):
    book = tmp_path / "ledger.jsonl"
    words = ["--baseline", baseline, "--confirm", "night", "--ledger", book]
    stored_run(tmp_path / "n1", {"sums": WORSE, "words": GOOD})
    stored_run(tmp_path / "n2", {"sums": WORSE, "words": GOOD})
    with pytest.raises(UsageError, match="--ledger"):
        gate(tmp_path / "n1", "--baseline", baseline, "--confirm", "night")
    assert gate(tmp_path / "n1", *words) == 0
    assert "suspect" in capsys.readouterr().out
    assert gate(tmp_path / "n2", *words) == 4
    assert [night.verdict for night in ledger.read(book)] == ["pass", "regression"]


def test_a_broken_last_line_of_the_ledger_is_kept_and_told(tmp_path, baseline, caplog):
    book = tmp_path / "ledger.jsonl"
    stored_run(tmp_path / "night", {"sums": GOOD, "words": GOOD})
    gate(tmp_path / "night", "--baseline", baseline, "--ledger", book)
    with book.open("a") as file:
        file.write('{"date": "2026-')
    gate(tmp_path / "night", "--baseline", baseline, "--ledger", book)
    assert len(ledger.read(book)) == 2
    assert '{"date": "2026-\n' in book.read_text()
    assert "line 2 is no night" in caplog.text


def nights(count, changed):
    tasks = {"sums": ledger.NightTask("pass", 60.0, (50.0, 70.0))}
    return [
        ledger.Night(f"2026-01-{n + 1:02}", f"r{n}", "m", "pass", tasks, "new" if n >= changed else "old")
        for n in range(count)
    ]


def test_the_ledger_marks_the_night_of_a_change_and_breaks_its_line_there():
    table = list(ledger_text.lines(nights(12, 8), 12, date(2026, 1, 12)))
    assert [line for line in table if line.startswith("* 2026")] == [table[9]]
    assert "2026-01-09" in table[9]
    drawn = ET.fromstring(ledger_page.figure(nights(12, 8), 12, date(2026, 1, 12)).html("nights"))
    ends = [(line.get("x1"), line.get("x2")) for line in drawn.iter("line") if "trend" in line.get("class")]
    assert len(ends) == 10
    assert [first[1] for first, second in pairwise(ends) if first[1] != second[0]] == ["62.5%"]
    assert len([line for line in drawn.iter("line") if line.get("class") == "changed"]) == 1


@pytest.mark.parametrize(("today", "told"), [(12, ""), (13, ""), (15, "NO NIGHT SINCE 2026-01-12: 3 days")])
def test_a_schedule_that_stopped_is_told(today, told):
    shown = nights(12, 8), 12, date(2026, 1, today)
    assert ledger_text.silence(shown[0], shown[2]) == told
    assert ("NO NIGHT" in list(ledger_text.lines(*shown))[-1]) == bool(told)
    assert ('<p class="quiet">NO NIGHT' in ledger_page.figure(*shown).html("nights")) == bool(told)
    assert ledger_text.silence([], shown[2]) == ""


def test_report_shows_the_nights_of_a_ledger(tmp_path, capsys):
    book = tmp_path / "ledger.jsonl"
    for one in nights(5, 3):
        ledger.append(book, one)
    show = lambda *words: report_command.main(["--ledger", str(book), *words], standalone_mode=False)  # noqa: E731
    assert show("--nights", "2") == 0
    dates = [line[2:12] for line in capsys.readouterr().out.splitlines() if line[2:6] == "2026"]
    assert dates == ["2026-01-04", "2026-01-05"]
    assert show("--format", "html") == 0
    assert capsys.readouterr().out.startswith("<!doctype html>")
    assert show("--format", "html", "reference:gpt-4") == 0
    page = capsys.readouterr().out
    assert "<h1>reference:gpt-4</h1>" in page and page.count("2026-01-05") >= 2
    with pytest.raises(UsageError, match="as table or html"):
        show("--format", "csv")
    with pytest.raises(UsageError, match="begins it"):
        report_command.main(["--ledger", str(tmp_path / "none")], standalone_mode=False)


def test_junit_and_github_get_the_verdict_and_nothing_can_leave_its_line(
    tmp_path, baseline, monkeypatch, capsys
):
    summary, report = tmp_path / "summary.md", tmp_path / "junit.xml"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    stored_run(
        tmp_path / "night", {"sums": WORSE, "words": GOOD}, served={"model_sha": "x\n::error::<b>|\x00"}
    )
    assert gate(tmp_path / "night", "--baseline", baseline, "--junit", report) == 4
    root = check(report.read_bytes())
    suite = root.find("testsuite")
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("nightly", "2", "1")
    assert suite.find("testcase/failure").text.split() == [f"s{n}" for n in range(40, 60)]
    commands = [line for line in capsys.readouterr().err.splitlines() if line.startswith("::")]
    assert len(commands) == 1
    assert commands[0].startswith("::error title=harness gate sums::regression")
    assert "| sums | REGRESSION | 60.00 | 40.00 |" in summary.read_text()
    assert "<b>" not in summary.read_text()


@pytest.mark.parametrize(("change", "code"), [({"model": "other"}, 2), ({"version": 2}, 2), ({}, 3)])
def test_junit_of_every_verdict_keeps_to_the_schema(tmp_path, baseline, change, code):
    stored_run(tmp_path / "night", {"sums": [None, None, *GOOD[2:]], "words": GOOD, "more": GOOD}, **change)
    assert gate(tmp_path / "night", "--baseline", baseline, "--junit", tmp_path / "j.xml") == code
    assert check((tmp_path / "j.xml").read_bytes()).find(".//testcase/error") is not None
    assert check(junit.document(GateVerdict("r", "m", Levels(), ()), {})).get("name") == "harness gate"


def test_the_repetition_of_suspects_is_the_runs_own_command():
    argv = ["harness", "run", "--model", "m", "--suite", "nightly", "--name=2026", "--out", "x", "--new"]
    words = arguments(argv, ["sums", "words"], "there")
    expected = "--model m --suite nightly --task sums,words --out there --no-report"
    assert words == expected.split()
    with pytest.raises(UsageError, match="--confirm none or night"):
        arguments(["pytest"], ["sums"], "there")
