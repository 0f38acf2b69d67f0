"""DBBench's files: what the mirror holds, and what `prepare` makes of checkouts."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from harness import data
from harness.data import literals, quiet
from harness.errors import DataError
from tasks.dbbench import score
from tasks.dbbench.cells import plain
from tasks.dbbench.prepare import prepare
from tasks.dbbench.prompts import ASSENT, PROMPT
from tasks.dbbench.rows import FILES, NEW, OLD, read

SOURCE = """
big_prompt = '''
ask away
'''

def process(self):
    use("0", "1", "2", "3", "4", "5", "6", "7", "Fine.")
"""


def test_prepare_reads_both_checkouts(mirror: Path, tmp_path: Path):
    tuning, bench, target = tmp_path / "AgentTuning", tmp_path / "AgentBench", tmp_path / "data"
    script = tuning / "AgentBench.old/src/tasks/dbbench/__init__.py"
    script.parent.mkdir(parents=True)
    script.write_text(SOURCE)
    for name in FILES.values():
        path = tuning / "AgentBench.old/data/dbbench" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    later = bench / "data/dbbench/standard.jsonl"
    later.parent.mkdir(parents=True)
    later.write_text("later")
    prepare(tuning, target, quiet)
    prepare(bench, target, quiet)
    assert dict(literals(target / "prompts.json")) == {PROMPT: "\nask away\n", ASSENT: "Fine."}
    assert (target / OLD / "dev.jsonl").read_text() == "dev.jsonl"
    assert (target / NEW / "standard.jsonl").read_text() == "later"
    with pytest.raises(DataError, match="neither"):
        prepare(target, tmp_path / "other", quiet)


def test_the_pins_are_those_of_the_mirror(mirror: Path):
    for pin in data.pins("dbbench").files:
        content = (mirror / "dbbench" / pin.path).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (pin.sha256, pin.size)


def test_the_mended_samples_differ_in_eleven_questions(mirror: Path):
    def rows(folder: Path) -> list[dict[str, object]]:
        text = (mirror / "dbbench" / folder / "standard.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.split("\n") if line]

    pairs = zip(rows(OLD), rows(NEW), strict=True)
    assert [n for n, (old, new) in enumerate(pairs) if old != new] == [
        2,
        4,
        13,
        14,
        17,
        26,
        40,
        72,
        77,
        93,
        96,
    ]


def test_the_corrected_hash_is_the_one_of_a_table_loaded_once(mirror: Path):
    path = mirror / "dbbench" / OLD / "standard.jsonl"
    sample = json.loads(path.read_text(encoding="utf-8").split("\n")[225])
    info = sample["table"]["table_info"]
    columns = [column["name"] for column in info["columns"]]
    rows = [[str(cell) for cell in row] for row in info["rows"]]
    for row in rows:
        if row[columns.index("Player")] == "Johnson":
            row[columns.index("Points")] = "16"
    assert str([(score.table_hash(rows + rows),)]) == sample["answer_md5"]
    assert str([(score.table_hash(rows),)]) == score.CORRECTED["std/225"]


@pytest.mark.parametrize(("split", "several"), [("std", 3), ("dev", 2)])
def test_what_fixed_overlooks_tells_no_two_labels_apart(mirror: Path, split: str, several: int):
    """So a reader who ignores case and the rows' brackets never takes one right answer for another."""
    listed = [row["label"] for row in read(mirror / "dbbench", split, mended=False)]
    assert all(isinstance(label, str) for labels in listed for label in labels), "values of one column"
    assert sum(len(labels) > 1 for labels in listed) == several
    assert [labels for labels in listed if len(set(map(plain, labels))) < len(set(labels))] == []
