"""MT-Bench's ratings: both parsers by their edge cases, resolving, averaging."""

from __future__ import annotations

import pytest

from harness.types import Ask, JudgeAsk, Message, Profile, Row, Verdict
from tasks.mt_bench import score


@pytest.mark.parametrize(
    ("text", "paper", "fixed"),
    [
        ("Good. Rating: [[8]]", 8, 8),
        ("Rating: [[7.5]]", 7.5, 7.5),
        ("Rating: 8", None, 8),
        ("[[8/10]]", None, 8),
        ("[[ 8 ]]", None, 8),
        ("[[10]] then [[3]]", 10, 3),
        ("See step [2]. Rating: 7", 2, 7),
        ("See step [2]. Rating: [7]", 2, 7),
        ("Rating: [7/10]", None, 7),
        ("Rating: [[85]]", None, None),
        ("[[11]]", None, None),
        ("[[0]]", None, None),
        ("[[08]]", None, 8),
        ("[[08.5]]", 8.5, 8.5),
        ("[[\uff18]]", None, 8),
        ("[[8]\n]", 8, 8),
        ("[[5.]]", 5, 5),
        ("[[3]] and at last [[12]]", 3, None),
        ("", None, None),
        ("[[" + "9" * 5000 + "]]", None, None),
        ("[[" + "9" * 1000 + "]]", None, None),
    ],
)
def test_parsers(text: str, paper: float | None, fixed: float | None) -> None:
    assert score.paper_rating(text) == paper
    assert score.fixed_rating(text) == fixed


def items(category: str = "math") -> list[JudgeAsk]:
    return [
        JudgeAsk(f"turn-{t}", (Message("user", "?"),), Ask(1), {"turn": t, "category": category})
        for t in (1, 2)
    ]


def resolve(texts: dict[tuple[str, int], str], profile: Profile = "paper", *, withhold: bool = False):
    verdicts = [Verdict(key, k, text) for (key, k), text in texts.items()]
    return score.resolve(items(), verdicts, profile, withhold=withhold)


def test_resolve_averages_both_turns_under_both_parsers() -> None:
    texts = {("turn-1", 0): "[[10]] then [[4]]", ("turn-2", 0): "[[6]]"}
    paper, fixed = resolve(texts), resolve(texts, "fixed")
    assert (paper.value, fixed.value) == (8.0, 5.0)
    for found in (paper, fixed):
        assert (found.metrics["paper"], found.metrics["fixed"]) == (8.0, 5.0)
        assert (found.metrics["judged"], found.metrics["unparsed"], found.metrics["missing"]) == (2, 0, 0)
    assert (paper.metrics["turn_1"], paper.metrics["turn_2"]) == (10.0, 6.0)
    assert paper.metrics["category/math"] == 8.0


def test_unparsed_turns_are_in_no_average() -> None:
    half = resolve({("turn-1", 0): "[[9]]", ("turn-2", 0): "nice"})
    none = resolve({("turn-1", 0): "so so", ("turn-2", 0): "nice"})
    assert (half.value, half.metrics["judged"], half.metrics["unparsed"]) == (9.0, 1, 1)
    assert none.metrics["judged"] == 0
    rows = [Row("1", 0, "scored", half.value, half.metrics), Row("2", 0, "scored", none.value, none.metrics)]
    result = score.aggregate(rows)
    assert result["mt_bench"] == 9.0
    assert (result["judged"], result["unparsed"]) == (1, 3)
    assert "turn_2" not in result


def test_headline_weighs_turns_not_questions() -> None:
    whole = resolve({("turn-1", 0): "[[4]]", ("turn-2", 0): "[[4]]"})
    half = resolve({("turn-1", 0): "[[10]]", ("turn-2", 0): "?"})
    rows = [Row(str(n), 0, "scored", s.value, s.metrics) for n, s in enumerate((whole, half))]
    assert score.aggregate(rows)["mt_bench"] == 6.0


def test_repeated_judgings_give_their_spread() -> None:
    texts = {("turn-1", 0): "[[4]]", ("turn-1", 1): "[[8]]", ("turn-2", 0): "[[6]]", ("turn-2", 1): "[[6]]"}
    found = resolve(texts)
    assert found.value == 6.0
    assert (found.metrics["spread/turn_1"], found.metrics["spread/turn_2"]) == (2.0, 0.0)
    result = score.aggregate([Row("1", 0, "scored", found.value, found.metrics)])
    assert (result["judging_0"], result["judging_1"]) == (5.0, 7.0)
    assert result["judgings_sd"] == pytest.approx(2**0.5)
    assert result["spread"] == 1.0


def test_no_headline_where_something_is_missing_and_partial_is_not_allowed() -> None:
    texts = {("turn-1", 0): "[[4]]", ("turn-2", 0): "?"}
    rows = [Row("1", 0, "scored", 4.0, resolve(texts, "fixed", withhold=True).metrics)]
    assert "mt_bench" not in score.aggregate(rows)
    complete = resolve({("turn-1", 0): "[[4]]", ("turn-2", 0): "[[5]]"}, "fixed", withhold=True)
    assert score.aggregate([Row("1", 0, "scored", 4.5, complete.metrics)])["mt_bench"] == 4.5


def test_nothing_readable_gives_no_headline_and_no_crash() -> None:
    from harness.report import stats

    none = resolve({("turn-1", 0): "?", ("turn-2", 0): "?"}, "fixed", withhold=True)
    rows = [Row("1", 0, "scored", none.value, none.metrics)]
    assert score.aggregate(rows) == {"judged": 0, "unparsed": 2, "missing": 0}
    # Some draws of an interval hold only such rows.
    mixed = [*rows, *(Row(str(n), 0, "scored", 6.0 + n, {}) for n in (2, 3))]
    mixed[0] = Row("1", 0, "scored", 0.0, {"judged": 0.0})
    assert stats.interval(mixed, stats.headline(score.aggregate, "mt_bench")) == pytest.approx((8.0, 9.0))


def test_rows_without_metrics_count_once() -> None:
    assert score.aggregate([Row("1", 0, "scored", 10.0), Row("2", 0, "scored", 8.0)])["mt_bench"] == 9.0
    assert score.aggregate([]) == {}
