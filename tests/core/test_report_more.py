"""What `report` says beyond scores: groups of a label, cost, why episodes failed, endpoints."""

import csv
import io
import json

import click
import pytest
from stored_runs import stored_run

from harness.cli.report_command import command as report_command
from harness.errors import UsageError
from harness.report.cost import Price, told
from harness.report.endpoints import Share
from harness.report.failures import SHOWN
from harness.report.load import FILE
from harness.storage.reader import Cost
from harness.storage.records import Attempt, CallRecord
from harness.storage.store import Store

HALF = [1.0] * 30 + [0.0] * 30


def report(capsys, *words):
    capsys.readouterr()
    report_command.main([str(word) for word in words], standalone_mode=False)
    return capsys.readouterr().out


def level(n):
    return {"level": "easy" if n < 40 else "hard"}


def lines_with(text, word):
    return [line.split() for line in text.splitlines() if word in line]


def test_every_group_of_a_label_has_its_own_headline_and_interval(tmp_path, capsys):
    run = stored_run(tmp_path / "r", {"sums": HALF}, labels=level)
    text = report(capsys, run, "--by", "level")
    ((_, _, n, score, low, high),) = lines_with(text, "level easy")
    assert (n, score) == ("40", "75.00")
    assert float(low.strip("[,")) < 75 < float(high.strip("]"))
    assert lines_with(text, "level hard")[0][2:4] == ["20", "0.00"]
    found = json.loads(report(capsys, run, "--by", "level", "--format", "json"))["tasks"]["sums"]["by"]
    assert found["level"]["easy"]["score"] == 75.0 and found["level"]["hard"]["n"] == 20
    rows = csv.reader(io.StringIO(report(capsys, run, "--by", "level", "--format", "csv")))
    assert ["sums", "by:level=easy", "75.0"] in [row[2:] for row in rows]


def test_groups_of_two_runs_stand_side_by_side(tmp_path, capsys):
    runs = [
        stored_run(tmp_path / "a", {"sums": HALF, "words": HALF}, labels=level),
        stored_run(tmp_path / "b", {"sums": HALF}, labels=lambda n: {"level": "easy"}),
    ]
    text = report(capsys, *runs, "--by", "level")
    assert [words[:3] for words in lines_with(text, "level easy")] == [["level", "easy", "75.00"]] * 2
    assert lines_with(text, "level hard")[0][-1] == "—", "the second run has no hard sample"
    for form in ("md", "html", "latex"):
        assert report(capsys, *runs, "--by", "level", "--format", form).count("level hard") == 2


def test_an_unknown_label_names_those_there_are(tmp_path, capsys):
    run = stored_run(tmp_path / "r", {"sums": HALF}, labels=level)
    with pytest.raises(UsageError, match=r"--by color: no sample has this label; these runs have level"):
        report(capsys, run, "--by", "color")


def test_a_task_without_a_headline_has_no_groups(tmp_path, capsys):
    run = stored_run(tmp_path / "r", {"sums": [*HALF, "", ""]}, labels=level)
    assert "level easy" not in report(capsys, run, "--by", "level")


def played(directory, attempts):
    """Add attempts at samples that a stored run has not played."""
    store = Store(directory / FILE)
    for n, more in enumerate(attempts):
        store.add(Attempt("sums", 1, f"s{n}", 0, **more))
    store.close()
    return directory


def call(endpoint, tokens=10, **facts):
    return CallRecord(0, "prompt", "reply", {"endpoint": endpoint, "prompt_tokens": tokens, **facts})


def test_what_a_run_took_is_told_and_priced(tmp_path, capsys):
    run = stored_run(tmp_path / "r", {"sums": ["", ""]})
    used = {"prompt_tokens": 1_500_000, "output_tokens": 250_000, "seconds": 900.0}
    played(run, [{"outcome": "scored", "value": 1.0, "calls": [call("a")], **used}] * 2)
    text = report(capsys, run, "--price", "0.2,0.6")
    assert (
        "cost: 2 requests; 3,000,000 tokens in and 500,000 out; 30 min of episodes, added up over 2 "
        "attempts; price 0.90 at 0.2 in and 0.6 out a million" in text
    )
    assert "price" not in report(capsys, run)
    found = json.loads(report(capsys, run, "--price", "0.2,0.6", "--format", "json"))["cost"]["sums"]
    assert found == {
        "attempts": 2, "requests": 2, "prompt_tokens": 3_000_000, "output_tokens": 500_000,
        "seconds": 1800.0, "price": pytest.approx(0.9),
    }  # fmt: skip


def test_tokens_that_a_server_does_not_count_are_not_none_and_have_no_price(tmp_path, capsys):
    run = stored_run(tmp_path / "r", {"sums": ["", ""]})
    uncounted = {"output_tokens": 250_000, "seconds": 900.0, "calls": [call("a", 0)]}
    played(run, [{"outcome": "scored", "value": 1.0, **uncounted}] * 2)
    text = report(capsys, run, "--price", "0.2,0.6")
    assert "2 requests; tokens in not counted by the server and 500,000 out" in text
    assert "price — at 0.2 in" in text
    found = json.loads(report(capsys, run, "--price", "1,1", "--format", "json"))["cost"]["sums"]
    assert found["prompt_tokens"] is None and found["price"] is None
    assert "tokens in not counted and" in report(capsys, run, "--endpoints")
    page = report(capsys, run, "--price", "0.2,0.6", "--format", "html")
    assert page.count("not counted by the server") >= 3, "its tokens in and its price, beside the head"


def test_a_sum_over_tasks_says_that_one_was_not_counted():
    costs = [Cost(1, 2, 30, 5, 1.0), Cost(1, 2, 0, 5, 1.0), Cost(1, 0, 0, 0, 1.0)]
    assert "at least 30 tokens in and 10 out" in told(costs, Price(1.0, 1.0))
    assert "price — at" in told(costs, Price(1.0, 1.0))
    assert "30 tokens in" in told(costs[::2], None) and "at least" not in told(costs[::2], None)


@pytest.mark.parametrize("price", ["1", "1,", "a,b", "-1,2", "1,2,3", "nan,1", "1e9,1", "\u0661,1"])
def test_a_price_is_two_plain_numbers(tmp_path, capsys, price):
    with pytest.raises(click.BadParameter, match="in and out"):
        report(capsys, stored_run(tmp_path / "r", {"sums": HALF}), "--price", price)


def test_failures_are_counted_by_outcome_and_reason(tmp_path, capsys):
    run = stored_run(tmp_path / "r", {"sums": [""] * 9})
    store = Store(run / FILE)
    store.set_meta("world/sums", {"notes": ["wiki offline"]})
    store.close()
    limit = {"outcome": "limit", "value": 0.0}
    played(run, [
        {**limit, "note": "context: 4200 tokens; wiki offline"},
        {**limit, "note": "context: 4310 tokens; wiki offline"},
        {**limit, "note": "wiki offline"},
        {"outcome": "model_error", "value": 0.0, "note": "wiki offline; no action in 3 replies"},
        {"outcome": "infra_error", "error": "EndpointDown: no answer from port 8080"},
        {"outcome": "infra_error", "error": "Traceback:\n  line 3\nValueError: two\x1b[2J"},
        {"outcome": "scored", "value": 0.0, "note": "wrong"},
    ])  # fmt: skip
    retried = played(run, [{"outcome": "scored", "value": 1.0}] * 0)
    store = Store(retried / FILE)
    store.add(Attempt("sums", 1, "s7", 0, "infra_error", error="Gone: once"))
    store.add(Attempt("sums", 1, "s7", 0, "scored", 1.0))
    store.close()
    text = report(capsys, run, "--failures")
    below = [line.strip() for line in text[text.index("failures of r") :].splitlines()[1:]]
    assert below[:5] == [
        "sums  infra_error  1  EndpointDown: no answer from port #",
        "sums  infra_error  1  ValueError: two [#J",
        "sums  limit  2  context: # tokens",
        "sums  limit  1  turns, or a limit of the task's own",
        "sums  model_error  1  no action in # replies",
    ]
    assert len(below) == 5, "neither wrong answers nor failures that a second attempt made good"
    found = json.loads(report(capsys, run, "--failures", "--format", "json"))["failures"]["sums"]
    assert found[2] == {"outcome": "limit", "reason": "context: # tokens", "count": 2}
    assert "context: # tokens" in report(capsys, run, "--failures", "--format", "html")


def test_many_reasons_are_counted_together(tmp_path, capsys):
    run = stored_run(tmp_path / "r", {"sums": [""] * (SHOWN + 3)})
    played(run, [{"outcome": "limit", "value": 0.0, "note": "x" * (n + 1)} for n in range(SHOWN + 3)])
    assert "sums  limit  3  3 other reasons" in report(capsys, run, "--failures")


def test_a_run_without_failures_says_so_and_a_published_model_has_none(tmp_path, capsys):
    assert "failures of r: none" in report(capsys, stored_run(tmp_path / "r", {"sums": HALF}), "--failures")
    with pytest.raises(UsageError, match="published model without episodes"):
        report(capsys, "reference:gpt-4", "--failures")


def test_calls_are_added_up_by_endpoint(tmp_path, capsys):
    run = stored_run(tmp_path / "r", {"sums": ["", "", ""]})
    calls = [
        call("http://a", latency_s=1.5, queue_s=0.5), call("http://a", latency_s=2.5, attempts=3),
        CallRecord(0, "prompt", "reply", {}),
    ]  # fmt: skip
    played(run, [{"outcome": "scored", "value": 1.0, "calls": [one]} for one in calls])
    text = report(capsys, run, "--endpoints")
    assert (
        "http://a  2 requests in 4 tries, 20 tokens in and 0 out, 4.0 s of requests, of these 0.5 s in"
        in text
    )
    found = json.loads(report(capsys, run, "--endpoints", "--format", "json"))["endpoints"]
    assert found["not recorded"]["requests"] == 1
    assert set(found["http://a"]) == set(Share.__dataclass_fields__)
