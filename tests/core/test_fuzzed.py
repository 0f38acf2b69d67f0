"""What reads others' words takes any bytes at all, and refuses only in the way that it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzzed_parsers import PARSERS, Parser
from fuzzed_texts import TEXTS
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.catalog import registry

CASES = Path(__file__).parent / "fuzzed_cases"
"""Inputs that once crashed a reader, in a folder of its name."""


@st.composite
def spoiled(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """A seed with pieces left out, repeated, or replaced by other bytes."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 12)))
        middle = draw(st.one_of(st.binary(max_size=6), st.just(data[start:end] * 2), st.sampled_from(seeds)))
        data = data[:start] + middle + data[end:]
    return data


@pytest.mark.parametrize("name", PARSERS)
def test_no_bytes_crash_a_reader(name: str):
    parser = PARSERS[name]
    for case in sorted((CASES / name.replace(" ", "_")).glob("*")):
        parser(case.read_bytes())
    for seed in parser.seeds:
        parser.read(seed)  # no seed is refused

    @settings(max_examples=40, deadline=None, database=None)
    @given(st.one_of(spoiled(parser.seeds), st.binary(max_size=200)))
    def check(data: bytes) -> None:
        parser(data)

    check()


def test_every_task_that_reads_replies_is_in_the_table():
    silent = {"hello"} & set(registry.names())
    assert set(registry.names()) - silent == set(TEXTS)


def test_a_crash_is_no_refusal():
    parser = Parser(lambda data: int(data[:1]), (b"1",), (ValueError,))
    parser(b"x")
    with pytest.raises(IndexError):
        Parser(lambda data: data[0], (b"1",), (ValueError,))(b"")
