"""The reader of large JSON files: the values of an array and of lines, in whatever pieces they arrive."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.authoring import json_stream
from harness.authoring.json_stream import Truncated, values

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


class Pieces(io.BytesIO):
    """A file that gives as many bytes at a time as it likes."""

    def __init__(self, content: bytes, size: int) -> None:
        super().__init__(content)
        self._size = size

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self._size)


@given(st.lists(VALUES, max_size=5), st.integers(1, 7), st.sampled_from([None, 1]), st.booleans())
def test_an_array_in_pieces(found: list[object], size: int, indent: int | None, ascii_: bool):
    text = "\n " + json.dumps(found, indent=indent, ensure_ascii=ascii_) + "\n"
    read = list(values(Pieces(text.encode(), size), 1 << 20))
    assert [json.loads(one.text) for one in read] == found
    assert not any(one.cut for one in read)
    lines = text.encode().split(b"\n")
    for one in read:  # a value begins on the line it is said to begin on
        assert one.text.split(b"\n")[0].strip() in lines[one.line - 1]


@given(st.lists(VALUES.filter(lambda value: not isinstance(value, list)), max_size=5), st.integers(1, 7))
def test_lines_in_pieces(found: list[object], size: int):
    text = "\n\n".join(map(json.dumps, found)).encode()
    read = list(values(Pieces(text, size), 1 << 20))
    assert [json.loads(one.text) for one in read] == found
    assert [one.line for one in read] == list(range(1, 2 * len(found), 2))


@pytest.mark.parametrize("size", [1, 3, json_stream.CHUNK])
@pytest.mark.parametrize("form", ['["{}", "b"]', '"{}"\n"b"'])
def test_a_long_value_is_cut_and_the_next_one_is_whole(form: str, size: int):
    first, second = values(Pieces(form.format("a" * 50 + '\\"],').encode(), size), 20)
    assert (first.text, first.cut) == (b'"' + b"a" * 19, True)
    assert (second.text, second.cut) == (b'"b"', False)


@pytest.mark.parametrize("text", ["[", "[1", '["]', "[1,", '[{"a": "\\'])
def test_an_open_array_is_told(text: str):
    with pytest.raises(Truncated, match="not closed"):
        list(values(io.BytesIO(text.encode()), 99))


def test_what_follows_an_array_is_told():
    with pytest.raises(Truncated, match="line 2: something follows"):
        list(values(io.BytesIO(b"[1]\n2"), 99))
    with pytest.raises(Truncated, match="something follows"):
        list(values(Pieces(b"[1]  2", 1), 99))
