"""Parsers that were rewritten to be linear read what the patterns and loops before them read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.authoring.answers import normalize
from tasks._shared.reading import balanced
from tasks.dbbench import action as dbbench_action
from tasks.dbbench import score as dbbench
from tasks.dbbench import sql
from tasks.mt_bench import score as mt_bench
from tasks.rewoo.action import read
from tasks.rewoo.score import rule
from tasks.rewoo.variables import fill

many = settings(max_examples=400, deadline=None)


def joined(*units: str) -> st.SearchStrategy[str]:
    """Texts of the pieces that a parser looks at."""
    return st.lists(st.sampled_from(units), max_size=16).map("".join)


def first(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return found.group(1) if found else None


# -- DBBench


@many
@given(joined("Action: ", "Action:", "\n", "Operation", " ", "```sql\n", "```sql", "\n```", "```", "x"))
@example("Action: Action: \n")
@example("```sql\n```sql\n\n```")
def test_dbbench_finds_what_the_patterns_found(text: str):
    assert dbbench_action.word(text) == first(r"Action: (.*?)\n", text)
    block = first(r"```sql\n([\s\S]*?)\n```", text)
    assert dbbench_action.statement(text) == (None if block is None else block.strip().replace("\n", " "))


def tokens(text: str) -> list[sql.Token]:
    return [sql.Token(match.lastgroup or "", match.group(), match.start()) for match in sql.matches(text)]


def split(text: str) -> list[str]:
    """Cut a batch at its semicolons by looking at every token."""
    parts: list[str] = []
    words: set[str] = set()
    start, empty = 0, True
    for token in tokens(text):
        body = {"CREATE", "BEGIN"} <= words and words & {"PROCEDURE", "FUNCTION", "TRIGGER", "EVENT"}
        if token.kind == "mark" and token.text == ";" and not body:
            parts += [] if empty else [text[start : token.start].strip()]
            start, words, empty = token.start + 1, set(), True
        else:
            empty = False
            words.add(token.word)
    return parts if empty else [*parts, text[start:].strip()]


@many
@given(
    joined(
        *("create", "BEGIN", " begin ", "Procedure", "event", ";", ";;", " ", "\n", "\x00", "a", "5", "$"),
        *("'", '"', "`", "\\", "-", "--", "-- ", "#", "/*", "*/", "/*!", "/*M!5", "/", "*", "é", "1.5"),
    )
)
@example("create procedure begin;;a;")
@example("/*!50000create procedure begin;a;")
def test_dbbench_splits_a_batch_where_its_tokens_say(text: str):
    assert sql.statements(text) == split(text)


def named(found: Sequence[sql.Token], n: int) -> bool:
    """Whether only a name can stand at a place, found by looking at all tokens before it."""
    before = found[n - 1] if n else sql.Token("mark", "", 0)
    words = [token.word for token in found[:n]]
    kind = words[0] if words else ""
    after_set = before.word == "SET"
    if before.word in {"AS", "FROM", "JOIN", "INTO", "UPDATE", "TABLE", "COLUMN", "USE", "DESCRIBE", "DESC"}:
        return True
    if kind in {"CREATE", "ALTER", "DROP", "TRUNCATE", "RENAME"}:
        return True
    if kind in ("INSERT", "REPLACE"):
        return after_set or not {"VALUES", "VALUE", "SELECT", "SET"} & set(words)
    open_ = sum((token.text == "(") - (token.text == ")") for token in found[:n] if token.kind == "mark")
    return kind == "UPDATE" and "WHERE" not in words and (after_set or (before.text == "," and open_ == 0))


def near(text: str) -> str | None:
    """`sql.reserved` for texts whose only reserved word is RANK."""
    found = tokens(text)
    for n, token in enumerate(found):
        after = found[n + 1].text if n + 1 < len(found) else ""
        if token.word != "RANK" or (n and found[n - 1].text in (".", "@")):
            continue
        if after == "(" and not named(found, n):
            continue
        at = n if named(found, n) else n + 1
        return text[found[at].start :][:80] if at < len(found) else ""
    return None


@many
@given(
    st.sampled_from(["", "UPDATE ", "INSERT ", "REPLACE ", "SELECT ", "ALTER "]),
    joined(
        *("RANK", "RANK(", ",", "(", ")", " SET ", " VALUES ", " WHERE ", " SELECT ", "a", "a=", ".", "@"),
        *("'('", "`)`", " AS ", " FROM ", " -- (\n", "1", " "),
    ),
)
@example("UPDATE ", "a SET a=(1),RANK(")
@example("UPDATE ", "a SET a=(1,RANK(")
@example("UPDATE ", "a SET a=')',RANK(")
@example("INSERT ", "a SELECT RANK(")
def test_reserved_words_are_judged_by_all_that_stands_before_them(start: str, rest: str):
    assert sql.reserved(start + rest) == near(start + rest)


def test_a_number_too_long_to_print_is_wrong_and_raises_nothing():
    for answer in (" 0x" + "f" * 9000, " [0x" + "f" * 9000 + ", 'a']"):
        assert dbbench.judge(answer, ["a"]) == {"paper": 0.0, "fixed": 0.0}


def test_an_answer_is_read_as_a_value_up_to_a_length():
    fits = f"['a'{' ' * (dbbench.LONGEST - 5)}]"
    assert dbbench.judge(fits, ["a"]) == {"paper": 1.0, "fixed": 1.0}
    assert dbbench.judge(f" {fits}", ["a"]) == {"paper": 0.0, "fixed": 0.0}


# -- HumanEval and MT-Bench


@many
@given(joined("[", "[[", "]", "]]", "1", "8", "0", ".", "/", "10", " ", "\n", "rating", "Rating: ", "\uff18"))
@example("[[1.]]")
@example("[[ 8 / 10 ] ]")
@example("rating [ 8 /10 ]")
def test_ratings_are_read_as_the_patterns_read_them(text: str):
    paper = first(r"\[\[(\d+\.?\d*)\]\]", text) or first(r"\[(\d+\.?\d*)\]", text)
    readable = paper is not None and paper.isascii() and not ("." not in paper and re.match("0+[1-9]", paper))
    rated = float(paper) if paper and readable else 0.0
    assert mt_bench.paper_rating(text) == (rated if 1 <= rated <= 10 else None)


# -- ReWOO


def in_turn(text: str, evidence: Mapping[str, str]) -> str:
    for name in re.findall(r"#E\d+", text):
        if name in evidence:
            text = text.replace(name, f"[{evidence[name]}]")
    return text


variables = st.lists(
    st.sampled_from(["#E1", "#E2", "#E12", "#E123", "#E", "#", "1", "[", "]", "a", "#E\u0663"]), max_size=4
).map("".join)


@many
@given(
    st.lists(st.sampled_from(["#E1", "#E2", "#E12", "#E3", " ", "0"]), max_size=8).map("".join),
    st.dictionaries(
        st.sampled_from(["#E1", "#E2", "#E12", "#E123", "#E\u0663"]), variables.map(lambda t: t[:9])
    ),
)
@example("#E1#E1", {"#E1": "#E1"})
@example("#E12 #E1", {"#E1": "a", "#E12": "#E1"})
@example("#E1 #E12", {"#E1": "#E12", "#E12": "b"})
@example("#E#E1", {"#E1": "2"})
def test_variables_are_filled_as_one_replacement_after_the_other(text: str, evidence: dict[str, str]):
    assert fill(text, evidence, "paper") == in_turn(text, evidence)


@many
@given(joined("#E1=LLM[", "#E2=LLM[", "#E12=LLM[", "#E1", "#E2", "#E12", "]\n", "\n", "Plan: a\n"))
def test_a_call_needs_the_variables_that_earlier_calls_define(text: str):
    for call in (plan := read(text, "fixed", ["LLM"])).calls:
        names = [other.name for other in plan.calls]
        earlier = names[: names.index(call.name)]
        found = re.findall(r"#E\d+", call.text) if call.tool else []
        assert call.needs == tuple(dict.fromkeys(name for name in found if name in earlier))


NUMBER = r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|[-+]?\.\d+"


def mentioned(text: str) -> set[str]:
    found: set[str] = set()
    for match in re.finditer(NUMBER, text):
        words = text[match.end() :].split()[:3]
        found |= {"".join(words[: n + 1]).rstrip(".,;").lower() for n in range(len(words))}
    return found


@many
@given(
    joined("5", " ", "m", "/s", "kg", ".", ";", ",", " 5 ", "N", "\n", "\u00a0", "İ", "  "),
    st.sampled_from(["m", "m/s", "kg", "N", "5", "kg m", "m;kg", "İ"]),
)
@example("5 m;; ;", "m")
@example("5 k g .", "kg")
def test_units_are_the_next_words_of_any_number(text: str, unit: str):
    answer = f"5 {text}"  # its first number is the right one
    wanted = "".join(unit.split()).lower()
    same = normalize(answer) == normalize(f"5 {unit}")
    assert rule("physics_question", answer, f"5 {unit}") == (same or wanted in mentioned(answer))


@many
@given(joined("[", "]", "a"), st.integers(0, 9))
def test_a_bracket_closes_where_the_count_comes_to_zero(text: str, start: int):
    ends = [
        at
        for at in range(start, len(text))
        if text[start : at + 1].count("[") < text[start : at + 1].count("]")
    ]
    assert balanced(text, start) == text[start : ends[0] if ends else None]
