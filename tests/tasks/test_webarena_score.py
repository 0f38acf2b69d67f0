"""WebArena's evaluators on the 812 tasks' own references, and each rule of both editions by its effect."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from nltk.tokenize import NLTKWordTokenizer

from harness.errors import DataError
from harness.types import Row, Verdict
from tasks.webarena import judge, rows, score
from tasks.webarena.prompts import WebArenaPrompts
from tasks.webarena.rows import ArenaRow, HtmlCheck
from tasks.webarena.score import Edition

TIMED_OUT = [14, 27, 28, 30, 31, 79, 134, 144, 305, 306, 319, 329, 346, 348, 787]
"""Tasks that the released code passes when an episode reaches its last step."""

EDITIONS: dict[Edition, str] = {"v2023": rows.RELEASED, "v2024": rows.CORRECTED}
ROW = ArenaRow(0, ("map",), (), ("",), "", 0, ("string_match",))


@pytest.fixture(params=EDITIONS)
def edition(request: pytest.FixtureRequest) -> Edition:
    return request.param


@pytest.fixture
def tasks(mirror: Path, edition: Edition) -> list[ArenaRow]:
    return rows.read(mirror / "webarena" / EDITIONS[edition])


def own(row: ArenaRow) -> str:
    """A task's reference as one text."""
    return row.exact if row.exact is not None else "; ".join(row.include or row.fuzzy)


def verdict(row: ArenaRow, answer: str, edition: Edition, prompts: WebArenaPrompts) -> bool:
    """Judge an answer, a fair judge taking a reference only where the answer contains it."""
    items = judge.questions(row, answer, edition, prompts)
    said = {"infer": ("Yes", "No"), "grade": ("correct", "incorrect"), "reason": ("same", "different")}
    verdicts = [
        Verdict(i.key, 0, said[i.info["kind"]][i.info["reference"].lower() not in i.info["answer"]])
        for i in items
    ]
    agreed = not items or judge.agreed(items, verdicts) == 1
    return agreed and score.answered(row, answer, edition)


def test_all_812_are_read_and_counted(tasks: list[ArenaRow], edition: Edition) -> None:
    assert [row.id for row in tasks] == list(range(812))
    assert len({row.template for row in tasks}) == (
        190 if edition == "v2023" else len({r.template for r in tasks})
    )
    if edition == "v2023":
        assert sum(row.judged for row in tasks) == 77
        assert sum(len(row.fuzzy) for row in tasks) == 140
        assert [row.id for row in tasks if len(row.start) > 1] == [431, 432, 433, 434, 435]
        assert [row.id for row in tasks if "program_html" in row.types and not row.checks] == [369]
    else:
        assert sum(row.unreachable for row in tasks) == 36


def test_own_references_score_and_others_do_not(mirror: Path) -> None:
    """Those of several statements are no single text; four ask for a text and a statement at once."""
    tasks = rows.read(mirror / "webarena" / rows.RELEASED)
    prompts = WebArenaPrompts(mirror / "webarena")
    derivable = [row for row in tasks if "string_match" in row.types and len(row.fuzzy) <= 1]
    assert len(derivable) == 309
    failed = [row.id for row in derivable if not verdict(row, own(row), "v2023", prompts)]
    assert failed == [34, 35, 267, 268]
    for row in (tasks[n] for n in failed):
        assert verdict(row, "; ".join((*row.include, *row.fuzzy)), "v2023", prompts)
    for wrong in ("zxqv", ""):
        assert [
            r.id for r in tasks if "string_match" in r.types and verdict(r, wrong, "v2023", prompts)
        ] == []


def test_corrected_references_score_and_others_do_not(mirror: Path) -> None:
    tasks = rows.read(mirror / "webarena" / rows.CORRECTED)
    prompts = WebArenaPrompts(mirror / "webarena")
    asked = [row for row in tasks if "string_match" in row.types]
    for row in asked:
        answer = "N/A" if row.unreachable else "; ".join((own(row), *row.fuzzy))
        assert verdict(row, answer if row.exact is None else row.exact, "v2024", prompts), row.id
    assert [row.id for row in asked if verdict(row, "zxqv", "v2024", prompts)] == []


def test_what_an_early_stop_passes(mirror: Path) -> None:
    tasks = rows.read(mirror / "webarena" / rows.RELEASED)
    prompts = WebArenaPrompts(mirror / "webarena")

    def passed(answer: str) -> list[int]:
        asked = [row for row in tasks if "string_match" in row.types and not row.judged]
        return [row.id for row in asked if score.answered(row, answer, "v2023")]

    assert passed(prompts.stopped("steps", 30)) == TIMED_OUT
    for why in ("unread", "same", "typed"):
        assert passed(prompts.stopped(why, 3)) == []
    assert passed("") == []


def test_the_shipped_list_of_reading_tasks_is_the_evaluators(mirror: Path) -> None:
    files = (rows.read(mirror / "webarena" / name) for name in EDITIONS.values())
    first, second = ({row.id for row in tasks if not row.writes} for tasks in files)
    assert rows.reading() == first & second


@pytest.mark.parametrize(
    "text",
    ["0", "$0.00", "10", "it is 0.", "0, no", "(0)", "0%", "0:30", "at 0: none", "0.5", "a 0 b", "x0", "'0'"],
)
def test_single_characters_are_whole_words_as_nltk_has_them(text: str) -> None:
    words = NLTKWordTokenizer().tokenize(text.strip("'"))
    row = replace(ROW, include=("0",))
    assert score.answered(row, text, "v2024") == ("0" in words)
    assert score.answered(row, text, "v2023")


def test_quotes_go_and_blanks_stay_or_go() -> None:
    row = replace(ROW, exact="Two Words")
    assert score.answered(row, '"two words"', "v2023")
    assert not score.answered(row, " two words ", "v2023")
    assert score.answered(row, " 'TWO words' ", "v2024")
    assert score.cleaned("'", "v2023") == ""


@pytest.mark.parametrize(
    ("rule", "wanted", "url", "paper", "now"),
    [
        ("EXACT", "http://s/a", "http://s/a/", True, True),
        ("EXACT", "http://s/a", "http://s/a?x=1", False, True),
        ("", "http://s/a", "http://s/ab", False, True),
        ("GOLD in PRED", "http://s/a", "http://s/ab", True, True),
        ("GOLD in PRED", "http://s/a |OR| http://s/b", "http://s/b?z=1", True, True),
        ("GOLD in PRED", "http://s/a?q=1&r=2", "http://s/a?r=2&q=1", False, True),
        ("GOLD in PRED", "http://s/a?q=1", "http://s/a?q=2", False, False),
        ("EXACT", "NA", "http://s/", False, False),
        ("GOLD in PRED", "http://s/a", "chrome-error://[bad", False, False),
    ],
)
def test_urls(rule: str, wanted: str, url: str, paper: bool, now: bool) -> None:
    row = replace(ROW, types=("url_match",), pages=tuple(wanted.split(rows.OR)), rule=rule)
    assert (score.arrived(row, url, "v2023"), score.arrived(row, url, "v2024")) == (paper, now)


def test_page_texts() -> None:
    some = HtmlCheck("last", "", (("one ", "two"),))
    assert score.found(some, "It has TWO.", "v2023") and not score.found(some, "three", "v2023")
    assert score.found(HtmlCheck("last", "", (("a&b",),)), "A&amp;B", "v2024")
    whole = HtmlCheck("last", "", (("five",),), exact=True)
    assert score.found(whole, " Five ", "v2024") and not score.found(whole, "five or six", "v2024")


@pytest.mark.parametrize(
    ("kind", "text", "readable", "passes"),
    [
        ("infer", "Yes.", True, True),
        ("infer", "yes", True, False),
        ("grade", "The answer is correct", True, True),
        ("grade", "Partially correct", True, False),
        ("grade", "incorrect", True, False),
        ("grade", "who knows", False, False),
        ("reason", "'same'", True, True),
        ("reason", "different", True, False),
        ("reason", "hm", False, False),
    ],
)
def test_verdicts(kind: str, text: str, readable: bool, passes: bool) -> None:
    assert (judge.readable(kind, text), judge.passes(kind, text)) == (readable, passes)


def test_both_rates_are_counts_of_all_tasks() -> None:
    found = score.aggregate(
        [
            Row("1", 0, "scored", 1.0, {"strict": 1.0}, {"site": "map"}),
            Row("14", 0, "limit", 1.0, {"strict": 0.0}, {"site": "map"}),
            Row("2", 0, "model_error", 0.0, {"strict": 0.0, "errored": 1.0}, {"site": "gitlab"}),
        ],
        2 / 3,
    )
    assert [found[name] for name in ("passed", "strict_passed", "of", "errored")] == [2, 1, 3, 1]
    assert (found["strict"], found["site/map"], found["success_rate"]) == (pytest.approx(1 / 3), 1.0, 2 / 3)


@pytest.mark.parametrize(
    "text", ["{}", "[{}]", "[", '[{"eval": {"eval_types": ["x"], "reference_answers": null}}]']
)
def test_a_file_of_another_form_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tasks.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"tasks\.json"):
        rows.read(path)


def test_an_entry_with_an_unknown_site_is_refused(mirror: Path, tmp_path: Path) -> None:
    entry = json.loads((mirror / "webarena" / rows.RELEASED).read_text(encoding="utf-8"))[0]
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps([entry | {"sites": ["bank"]}]), encoding="utf-8")
    with pytest.raises(DataError, match=r"entry 0.*'bank'"):
        rows.read(path)
