"""Token counters against plain restatements of what they promise."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import tokens
from harness.errors import DataError, MissingPart, UsageError

TEXTS = st.text(alphabet=st.sampled_from("abcXYZé漢²Ⅷ٣ \n\t_-.,09")) | st.text()


def segments_by_hand(text: str) -> int:
    total = run = 0
    for char in text:
        if char.isalpha():
            run += 1
            if run == 7:
                total, run = total + 1, 0
            continue
        total += (run > 0) + (char not in " \n")
        run = 0
    return total + (run > 0)


@given(TEXTS)
def test_segments_equal_a_walk_over_the_characters(text: str) -> None:
    assert tokens.counter("segments")(text) == segments_by_hand(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", 0), ("abcdefg", 1), ("abcdefgh", 2), ("go to shelf 1", 4), ("a\tb", 3), ("x²y", 3), ("\n \n", 0)],
)
def test_segments_of_known_texts(text: str, expected: int) -> None:
    assert tokens.counter("segments")(text) == expected


def test_only_so_many_counts_are_remembered_and_none_is_mistaken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "COUNTED", 3)
    for _ in range(2):
        for size in range(1, 20):
            assert tokens.segments("remembered " * size) == 2 * size
            assert 1 <= tokens.remembered() <= 3


@given(st.text())
def test_the_estimate_is_a_third_of_the_characters_rounded_up(text: str) -> None:
    assert 3 * (tokens.counter("estimate")(text) - 1) < len(text) <= 3 * tokens.counter("estimate")(text)


def test_cl100k_counts_known_texts_without_the_network(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a counter must not open a connection")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    count = tokens.counter("cl100k", mirror / "webarena" / tokens.CL100K_FILE)
    assert count("hello world") == 2
    assert count("tiktoken is great!") == 6
    assert count("antidisestablishmentarianism") == 6
    assert count("2 + 2 = 4") == 7
    assert count("お誕生日おめでとう") == 9


def test_cl100k_is_tiktokens_own_encoding(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tiktoken_ext import openai_public

    asked: dict[str, str] = {}

    def ranks(url: str, expected_hash: str) -> dict[bytes, int]:
        asked["hash"] = expected_hash
        return {}

    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", ranks)
    assert openai_public.cl100k_base()["pat_str"] == tokens.CL100K_PIECES
    assert asked["hash"] == tokens.CL100K_SHA256


@pytest.mark.parametrize("text", ["<|endoftext|>", "\ud800 alone", "\0", "a" * 10_000_000, "ab " * 4_000_000])
def test_cl100k_counts_hostile_text(mirror: Path, text: str) -> None:
    assert tokens.counter("cl100k", mirror / "webarena" / tokens.CL100K_FILE)(text) >= 1


def test_a_missing_or_wrong_vocabulary_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingPart, match="harness data pull"):
        tokens.counter("cl100k", tmp_path / "absent")
    (tmp_path / "wrong").write_bytes(b"IQ== 0\n")
    with pytest.raises(DataError, match="is not the cl100k vocabulary"):
        tokens.counter("cl100k", tmp_path / "wrong")


def test_an_unknown_counter_is_refused() -> None:
    with pytest.raises(UsageError, match="choose cl100k, segments or estimate"):
        tokens.counter("p50k")
