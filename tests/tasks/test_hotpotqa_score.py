"""HotpotQA's metrics and action parsers as pure functions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.hotpotqa.action import KINDS, one_line, read, read_lenient
from tasks.hotpotqa.prompts import fill
from tasks.hotpotqa.score import careful_f1, exact_match, f1, normalize

CLOSED = {"yes", "no", "noanswer"}
words = st.lists(
    st.sampled_from(["a", "The", "red", "fox.", "fox", "yes", "no", "well-known", "\u2013"]), max_size=6
)
answers = st.one_of(st.text(max_size=40), words.map(" ".join))


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The A. Fox", "fox"),
        ("well-known", "wellknown"),
        ("1940 \u2013 2011", "1940 \u2013 2011"),
        ("  a  an the ", ""),
        ("Theatre", "theatre"),
        ('Jonny" Craig', "jonny craig"),
    ],
)
def test_normalize(text: str, normal: str):
    assert normalize(text) == normal


@pytest.mark.parametrize(
    ("answer", "gold", "value"),
    [
        ("red fox", "the red fox!", 1.0),
        ("red", "red fox", 2 / 3),
        ("fox fox", "fox", 2 / 3),
        ("yes it is", "yes", 0.0),
        ("yes", "Yes.", 1.0),
        ("no", "yes", 0.0),
        ("", "", 0.0),
        ("", "fox", 0.0),
    ],
)
def test_f1(answer: str, gold: str, value: float):
    assert f1(answer, gold) == pytest.approx(value)


def test_two_empty_answers_match_exactly_but_overlap_in_nothing():
    assert exact_match("the", "")
    assert f1("the", "") == 0.0


@given(answers, answers)
def test_f1_is_symmetric_and_bounded(left: str, right: str):
    assert f1(left, right) == pytest.approx(f1(right, left))
    assert 0.0 <= f1(left, right) <= 1.0


@given(answers, answers)
def test_exact_match_means_full_f1_unless_empty(left: str, right: str):
    if exact_match(left, right):
        assert f1(left, right) == pytest.approx(1.0 if normalize(left) else 0.0)
    if f1(left, right) == 1.0:
        assert sorted(normalize(left).split()) == sorted(normalize(right).split())


@given(answers, answers)
def test_a_careful_reader_gives_no_less(left: str, right: str):
    assert f1(left, right) <= careful_f1(left, right) <= 1.0
    assert careful_f1(None, right) == 0.0


@given(answers)
def test_normalize_is_idempotent_once_articles_are_gone(text: str):
    once = normalize(text)
    assert normalize(once) == once


@pytest.mark.parametrize(
    ("text", "kind", "argument", "status"),
    [
        ("Search[Merrow]", "Search", "Merrow", "exact"),
        ("Finish[ ]", "Finish", " ", "exact"),
        ("Finish[a] because [x]", "Finish", "a] because [x", "exact"),
        ("Search[x] then I", "Search", "x", "trimmed"),
        (" Lookup[x]. ", "Lookup", "x", "trimmed"),
        ("...Search[x]...", "Search", "x", "trimmed"),
        ("Finish[]", "Finish[]", "", "invalid"),
        ("search[x]", "search", "x", "invalid"),
        ("Search [x]", "Search [x]", "", "invalid"),
        ("I will Search[x]", "I will Search[x]", "", "invalid"),
        ("Search[x", "Search[x", "", "invalid"),
        ("", "", "", "invalid"),
    ],
)
def test_strict_actions(text: str, kind: str, argument: str, status: str):
    action = read(text)
    assert (action.kind, action.argument, action.status) == (kind, argument, status)
    assert action.valid == (status != "invalid")


@pytest.mark.parametrize(
    ("text", "kind", "argument"),
    [
        ("search [Merrow]", "Search", "Merrow"),
        ("I will SEARCH[a [b] c] now [d]", "Search", "a [b] c"),
        ("finish[cut off", "Finish", "cut off"),
        ("Search[x]", "Search", "x"),
    ],
)
def test_lenient_actions(text: str, kind: str, argument: str):
    action = read_lenient(text)
    assert (action.kind, action.argument, action.valid) == (kind, argument, True)


@pytest.mark.parametrize("text", ["", "prose", "Finish[]", "search[ ]", "research"])
def test_lenient_does_not_invent(text: str):
    assert not read_lenient(text).valid


@given(
    st.sampled_from(KINDS), st.text(min_size=1).filter(lambda text: one_line(f"X[{text}]") == f"X[{text}]")
)
def test_written_actions_read_back(kind: str, argument: str):
    for action in (read(f"{kind}[{argument}]"), read_lenient(f"{kind}[{argument}]")):
        assert (action.kind, action.argument, action.status) == (kind, argument, "exact")


@given(st.text())
def test_no_text_breaks_a_parser(text: str):
    line = one_line(text)
    assert "\n" not in line
    assert one_line(line) == line
    assert read(line).argument in line
    read_lenient(line)


@given(st.text(), st.text())
def test_slots_are_filled_once(question: str, scratchpad: str):
    filled = fill("{question}|{scratchpad}", question=question, scratchpad=scratchpad)
    assert filled == f"{question}|{scratchpad}"
