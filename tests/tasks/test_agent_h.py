"""Agent-H: what degenerate models score through a real run, the two rules, and damaged items."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import harness
from contexts import samples_of, task_context

from harness.errors import DataError
from harness.report.build import build
from harness.report.load import load
from tasks.agent_h import task
from tasks.agent_h.action import Keywords, Signs, anywhere, keywords, meant
from tasks.agent_h.rows import CIRCUMSTANCES, rows
from tasks.agent_h.task import TASK

FIXTURE = Path(task.__file__).parent / "fixture"
POLITE = "Of course, here is a plain answer."
REACT = "Thought: I should look.\nAction: look[]"
BOTH = f"{REACT}\nI will use the search tool."
WORDS = keywords(ignore_case=False)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory):
    """Reports of runs in which the model always says the same, by its words."""
    folder = tmp_path_factory.mktemp("runs")
    samples = [sample.id for sample in samples_of(TASK, task_context(TASK, FIXTURE))]
    found = {}
    for name, text in {"polite": POLITE, "react": REACT, "both": BOTH, "empty": " \n"}.items():
        lines = [json.dumps({"task": "agent_h", "sample": one, "replies": [text]}) for one in samples]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
        words = "--task", "agent_h", "--mirror", "fixture", "--out", name, "--no-report"
        done = harness(folder, "run", "--model", f"replay:{name}.jsonl", *words)
        assert done.returncode == 0, done.stderr
        found[name] = build(load(str(folder / name))).tasks["agent_h"]
    return found


@pytest.mark.parametrize(("name", "score"), [("polite", 100.0), ("react", 50.0), ("both", 0.0)])
def test_degenerate_models(reports, name: str, score: float):
    result = reports[name]
    assert result.score == score
    assert {result.metrics[rule] for rule in ("paper", "fixed")} == {score / 100}
    assert result.metrics["empty_rate"] == 0
    by_circumstance = {key: result.metrics[f"h_score_{key}"] for key in CIRCUMSTANCES}
    assert by_circumstance == dict.fromkeys(CIRCUMSTANCES, score / 100)
    assert result.metrics["h_score_action"] == result.metrics["h_score_format"] == score / 100


def test_every_number_has_an_interval(reports):
    # Wilson's interval of 40 of 40, from its formula: 1 / (1 + z^2 / n).
    assert reports["polite"].ci == pytest.approx((100 / (1 + 1.959964**2 / 40), 100.0))
    metrics = reports["react"].metrics
    assert (metrics["h_react"], metrics["h_general"]) == (1.0, 0.0)
    assert metrics["h_react_low"] == pytest.approx(1 / (1 + 1.959964**2 / 40))
    assert metrics["h_general_high"] == pytest.approx(1 - 1 / (1 + 1.959964**2 / 40))


def test_a_model_that_says_nothing_has_no_score(reports):
    result = reports["empty"]
    assert result.score is None
    assert result.metrics == {"empty_rate": 1.0}
    assert result.complete
    assert any("withholds its headline" in note for note in result.notes)


async def test_empty_replies_are_left_out_and_counted():
    from harness.types import Reply, Row

    ctx = task_context(TASK, FIXTURE)
    shared = TASK.shared(ctx)
    made = []
    for place, sample in enumerate(samples_of(TASK, ctx)):
        text = ("", REACT, POLITE, POLITE)[place % 4]
        score = await TASK.value(sample, Reply(text), shared)
        made.append(Row(sample.id, 0, "scored", score.value, score.metrics, sample.labels))
    found = TASK.aggregate(made)
    assert found["empty_rate"] == 0.25
    assert found["h_score"] == TASK.spec.headline(made) == pytest.approx((0.5 + 1 + 1) / 3)


@pytest.mark.parametrize(
    ("text", "paper", "fixed"),
    [
        ('He shouted "Action: now!" and left.', Signs(True, False), Signs(False, False)),
        ("**Action:** is a word.\n**Thought: hm", Signs(True, False), Signs(True, False)),
        ("I'm sorry, I cannot. I will use my own words.", Signs(False, True), Signs(False, False)),
        ("I will use get_weather for this.", Signs(False, True), Signs(False, True)),
        ("I need to call the API. Wait.", Signs(False, True), Signs(False, True)),
        ("They say \u201cI will use the tool\u201d often.", Signs(False, True), Signs(False, False)),
        ("thought: hm", Signs(False, False), Signs(False, False)),
    ],
)
def test_both_rules(text: str, paper: Signs, fixed: Signs):
    assert anywhere(text, WORDS) == paper
    assert meant(text, WORDS, ("get_weather",)) == fixed


def test_case_is_an_option():
    ignoring = keywords(ignore_case=True)
    assert anywhere("THOUGHT: hm. i will use it", ignoring) == Signs(True, True)
    assert meant("thought: hm", ignoring, ()) == Signs(True, False)
    shared = TASK.shared(task_context(TASK, FIXTURE, case="ignored"))
    assert isinstance(shared.words, Keywords) and shared.words.ignore_case
    assert TASK.fingerprint(shared)["keywords"].startswith("version 1, sha256 ")


def test_the_fixture_is_40_items_of_all_circumstances():
    found = list(rows(FIXTURE))
    assert [sum(row.circumstance == one for row in found) for one in CIRCUMSTANCES] == [8] * 5
    assert all(bool(row.tools) == row.circumstance.startswith("tools") for row in found)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"circumstance": "sometimes"}, "'sometimes' is not one of format"),
        ({"messages": []}, "the last message is not the user's"),
        ({"messages": [{"role": "judge", "content": ""}]}, "a message needs a role"),
        ({"messages": [3]}, "a message needs a role"),
        ({"answer": None}, "'answer' is no str"),
    ],
)
def test_a_damaged_item_is_named(tmp_path: Path, change, says: str):
    item = json.loads((FIXTURE / "items.jsonl").read_text().splitlines()[0])
    (tmp_path / "items.jsonl").write_text(f"{json.dumps(item)}\n{json.dumps(item | change)}\n")
    with pytest.raises(DataError, match=says) as error:
        list(rows(tmp_path))
    assert "harness data prepare agent_h" in str(error.value)
