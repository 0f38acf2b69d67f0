"""Mind2Web's score files: every pickle that is fine loads, and a hostile one leaves no trace."""

from __future__ import annotations

import json
import os
import pickle
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy
import pytest

from harness.errors import DataError
from tasks.mind2web import score_file
from tasks.mind2web.prepare import convert

RANKS = {"a_1": {"10": 0, "11": 1}, "a_2": {"12": 0}}


def ranks_in(path: Path) -> dict[str, dict[str, int]]:
    with closing(sqlite3.connect(path)) as db:
        return {step: json.loads(ranks) for step, ranks in db.execute("SELECT * FROM ranks")}


@pytest.mark.parametrize("old_numpy", [False, True])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_score_files_of_plain_and_of_numpy_numbers_load(protocol: int, old_numpy: bool, tmp_path: Path):
    counted = {
        step: {numpy.str_(node): numpy.int64(rank) for node, rank in nodes.items()}
        for step, nodes in RANKS.items()
    }
    scores = {step: {node: numpy.float32(0.5) for node in nodes} for step, nodes in RANKS.items()}
    array = None if protocol == 5 else numpy.arange(3)
    plain, of_numpy = {"scores": {}, "ranks": RANKS}, {"scores": scores, "ranks": counted, "more": array}
    for number, whole in enumerate((plain, of_numpy)):
        content = pickle.dumps(whole, protocol)
        assert (b"multiarray" in content) == (number == 1)
        path = tmp_path / f"{number}.pkl"
        path.write_bytes(renamed(content, protocol) if old_numpy and number else content)
        assert score_file.convert(path, tmp_path / f"{number}.sqlite") == 2
        assert ranks_in(tmp_path / f"{number}.sqlite") == RANKS


def renamed(content: bytes, protocol: int) -> bytes:
    """The same pickle as numpy 1 writes it."""
    new, old = b"numpy._core.multiarray", b"numpy.core.multiarray"
    if protocol < 4:
        return content.replace(new, old)
    # Without the frame's head, which only says how much may be read ahead, no length has to be counted anew.
    return content[:2] + content[11:].replace(bytes([len(new)]) + new, bytes([len(old)]) + old)


class Calls:
    """Pickled as the call of a function."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self._call = function, args

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._call


class Outside(pickle.Pickler):
    """Writes every float as a reference to something outside the file."""

    def persistent_id(self, obj: object) -> str | None:
        return "there" if isinstance(obj, float) else None


def hostile(tmp_path: Path) -> dict[str, tuple[bytes, str]]:
    mark = tmp_path / "trace"

    def ranks(value: object, protocol: int = 4) -> bytes:
        return pickle.dumps({"ranks": {"a_1": value}}, protocol)

    outside = tmp_path / "outside"
    with outside.open("wb") as file:
        Outside(file).dump({"ranks": 0.5})
    return {
        "os.system": (ranks(Calls(os.system, f"touch {mark}")), "posix.system"),
        "os.system, protocol 0": (ranks(Calls(os.system, f"touch {mark}"), 0), "posix.system"),
        "eval": (ranks(Calls(eval, f"open({str(mark)!r}, 'w')")), "builtins.eval"),
        "open": (ranks(Calls(open, str(mark), "w")), "io.open"),
        "numpy.load": (ranks(Calls(numpy.load, str(mark))), "numpy"),
        "another encoding": (
            b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00idna_\x86R.",
            "encodes",
        ),
        "a name within a name": (
            b"\x80\x04\x8c\x05numpy\x8c\x0fcore.multiarray\x93.",
            "numpy.core.multiarray",
        ),
        "an extension": (b"\x80\x02\x82\x01.", "unregistered extension"),
        "a reference": (outside.read_bytes(), "outside itself"),
        "half a file": (ranks({"1": 1})[:-5], "UnpicklingError|EOFError"),
        "no pickle": (b"<html>404</html>", "no readable pickle"),
        "nothing": (b"", "EOFError"),
        "a list": (pickle.dumps([1, 2]), "no dict under 'ranks'"),
        "no ranks": (pickle.dumps({"scores": {}}), "no dict under 'ranks'"),
        "a step without nodes": (ranks([1, 2]), "'a_1' are no dict"),
        "a rank that is none": (ranks({"1": 1.5}), "1.5 stands where a rank"),
        "a node that is none": (ranks({1: 1}), "1 stands where a name"),
    }


def test_a_hostile_score_file_leaves_no_trace(tmp_path: Path):
    path = tmp_path / "scores.pkl"
    for content, words in hostile(tmp_path).values():
        path.write_bytes(content)
        with pytest.raises(score_file.ScoreFileError, match=words):
            score_file.convert(path, tmp_path / "ranks.sqlite")
        (tmp_path / "ranks.sqlite").unlink(missing_ok=True)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("name", ["os.system", "half a file"])
def test_a_hostile_score_file_is_refused_in_one_line(name: str, tmp_path: Path):
    path = tmp_path / "scores.pkl"
    content, words = hostile(tmp_path)[name]
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as refused:
        convert(path, tmp_path / "ranks.sqlite")
    assert str(refused.value).startswith(f"{path} is not the score file: ")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize(
    "content",
    [
        {"ranks": {f"step {n}": {f"{n}": n} for n in range(200_000)}},
        {"ranks": {}, "more": Calls(numpy.ndarray, (1 << 28,), "u1")},
    ],
)
def test_reading_dies_at_its_memory_cap_with_one_line(content: object, tmp_path: Path):
    path = tmp_path / "scores.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match="it needs more than 16 MB to read") as refused:
        convert(path, tmp_path / "ranks.sqlite", memory_mb=16)
    assert "\n" not in str(refused.value)
