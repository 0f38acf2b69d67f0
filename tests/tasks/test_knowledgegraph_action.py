"""How a reply is read: upstream's rules, and the corrected ones for names."""

from __future__ import annotations

import pytest

from tasks.knowledgegraph import action
from tasks.knowledgegraph.action import KgCall


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Action: count(#0)\nObservation: variable #1\nAction: x", "Action: count(#0)\n"),
        ("Action: get\\_relations(a\\_b)", "Action: get_relations(a_b)"),
        ("Observation: all of it", ""),
    ],
)
def test_what_the_history_keeps(text: str, kept: str):
    assert action.clean(text) == kept


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("Thought: so the Final Answer: #3 it is\nAction: count(#0)", "3"),
        ("Find Answer: #12", "12"),
        ("Final Answer: #1 or Final Answer: #2", "1"),
        ("Final Answer: \uff13", None),
        ("Final Answer: #\uff13", "\uff13"),
        ("final answer: #1", None),
        ("Final Answer: 1", None),
    ],
)
def test_the_final_answer(text: str, digits: str | None):
    assert action.final(text) == digits


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Thought: t\nAction 1: get_relations(#0)\nAction: count(#1)", "Action 1: get_relations(#0)"),
        (" Action: count(#1)", None),
        ("action: count(#1)", None),
        ("Action count(#1)", None),
        ("Actions speak: louder", "Actions speak: louder"),
    ],
)
def test_the_action_line(text: str, line: str | None):
    assert action.action_line(text) == line


def test_the_names_on_a_line_in_order():
    assert action.called("Action: count(x) union(y) count(z)") == (["count", "union"], "count")
    assert action.called("Action: f (x) and 2(y) and \u00e9t\u00e9(z)") == (
        ["2", "\u00e9t\u00e9"],
        "\u00e9t\u00e9",
    )
    assert action.called("Action: nothing") == ([], "")


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("get_neighbors(variable #0, a.b.c)", ("variable #0", "a.b.c")),
        ("get_neighbors(  a ,\tb  ,c )", ("  a", "b", "c ")),
        ("get_neighbors(a (b), c)", ("a (b",)),
        ("get_neighbors(a", None),
        ("get_neighbors()", None),
        ("get_neighbors() and (x)", (") and (x",)),
        ("my_get_neighbors(a) get_neighbors(b)", ("a",)),
        ("get_neighbors(a,,b)", ("a", "", "b")),
    ],
)
def test_arguments_end_at_the_first_parenthesis(line: str, arguments: tuple[str, ...] | None):
    assert action.read(line, "get_neighbors") == KgCall("get_neighbors", arguments)


NAMES = ("Reed, Alda", "Reed", "Tern (class)", "a)", "variable stars")


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("f(Reed, Alda, x.y.z)", ("Reed, Alda", "x.y.z")),
        ("f(Reed, x.y.z)", ("Reed", "x.y.z")),
        ("f( Tern (class) , #0 )", ("Tern (class)", "#0")),
        ("f(Tern (class))", ("Tern (class)",)),
        ("f(Tern (classes))", ("Tern (classes",)),
        ("f(a))", ("a)",)),
        ("f(variable stars, variable #1)", ("variable stars", "variable #1")),
        ("f(Reed, Alda", None),
        ("f(x", None),
        ("f(Reed", None),
        ("f()", ("",)),
    ],
)
def test_names_may_hold_commas_and_parentheses(line: str, arguments: tuple[str, ...] | None):
    assert action.read_names(line, "f", NAMES) == KgCall("f", arguments)


def test_the_word_variable_goes_wherever_it_stands():
    assert action.bare("variable #0") == "#0"
    assert action.bare("Variable variable stars") == "stars"
