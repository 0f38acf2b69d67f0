"""Regular expressions over a vocabulary: every way through them is a match, and every match has a way."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.models.local.grammar import Grammar, complete
from harness.models.local.invalid import Invalid

PIECES = ["", "a", "b", "ab", "ba", "1", " ", " a", "\u00e9", "\ufffd", "aab", "-", "\n"]
LETTERS = [chr(code) for code in map(ord, "ab1 -\u00e9")]

atoms = st.sampled_from(
    ["a", "b", "1", " ", r"\d", r"\w", r"\S", "[ab]", "[^a]", "[a-c1]", ".", r"\-", "\u00e9"]
)
patterns = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"({two[0]}|{two[1]})"),
        st.tuples(inner, st.sampled_from("*+?")).map(lambda two: f"(?:{two[0]}){two[1]}"),
        inner.map(lambda one: f"({one}){{1,2}}"),
    ),
    max_leaves=8,
)


def accepts(grammar: Grammar, tokens: list[int]) -> bool:
    """Whether the grammar allows the tokens one after the other and may end after them."""
    state = grammar.start
    for token in tokens:
        after = grammar.allowed(state)
        if token not in after:
            return False
        state = after[token]
    return complete(state)


@settings(max_examples=150, deadline=None)
@given(patterns)
def test_it_accepts_what_python_matches(pattern: str):
    grammar, compiled = Grammar(pattern, PIECES), re.compile(pattern)
    for length in range(4):
        for text in map("".join, itertools.product(LETTERS, repeat=length)):
            spelled = [PIECES.index(letter) for letter in text]
            assert accepts(grammar, spelled) == bool(compiled.fullmatch(text)), (pattern, text)


@settings(max_examples=60, deadline=None)
@given(patterns, st.lists(st.integers(1, len(PIECES) - 1), max_size=3))
def test_it_does_not_depend_on_how_a_text_is_cut_into_tokens(pattern: str, tokens: list[int]):
    text = "".join(PIECES[token] for token in tokens)
    expected = "\ufffd" not in text and bool(re.fullmatch(pattern, text))
    assert accepts(Grammar(pattern, PIECES), tokens) == expected


def test_choices_of_several_tokens():
    from harness.models.clients.alternatives import grammar as written

    wanted = written(("ab-ab", "a1", "b (b)"))["value"]
    grammar = Grammar(wanted, PIECES)
    assert {PIECES[token] for token in grammar.allowed(grammar.start)} == {"a", "b", "ab", " ", " a"}


@pytest.mark.parametrize("pattern", ["(a", "a(?=b)", r"(a)\1", r"\bx", "(?i:a)", "a" * 20_001, "[b-a]", "*"])
def test_what_cannot_be_compiled_is_refused(pattern: str):
    with pytest.raises(Invalid, match="grammar is not valid"):
        Grammar(pattern, PIECES)


def test_a_pattern_of_too_many_states_ends_and_does_not_hang():
    grammar = Grammar("(a|b)*a(a|b){12}", PIECES)
    with pytest.raises(Invalid, match="more than 2000 states"):
        walk(grammar)


def walk(grammar: Grammar) -> None:
    """Visit every state that can be reached."""
    seen, ahead = {grammar.start}, [grammar.start]
    while ahead:
        for after in grammar.allowed(ahead.pop()).values():
            if after not in seen:
                seen.add(after)
                ahead.append(after)
