"""What training files may look like, and how a damaged one is named."""

from __future__ import annotations

import gzip
import json
import resource
import subprocess
import sys
from pathlib import Path

import planted
import pytest
import zstandard
from command import ROOT, harness
from planted import QUESTIONS, talk

from harness.checks.contamination import rules, shown, tokens, training
from harness.checks.contamination.measure import measure
from harness.checks.contamination.questions import Questions, TaskQuestions
from harness.errors import DataError

Q = QUESTIONS[0]


def texts_of(path: Path) -> list[tuple[str, ...]]:
    return [row.texts for row in training.rows(path)]


@pytest.mark.parametrize(
    ("row", "texts"),
    [
        (talk("a", "b"), ("a", "b")),
        ({"id": 1, "conversation": [{"role": "user", "content": "a", "loss": True}]}, ("a",)),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}, ("a",)),
        ({"messages": [{"role": "assistant", "content": None}]}, ("",)),
        ({"text": "a"}, ("a",)),
        ({"instruction": "a", "input": "", "output": "b"}, ("a", "", "b")),
        ({"system": "s", "conversations": []}, ("s",)),
        ([{"from": "human", "value": "a"}], ("a",)),
        ("a", ("a",)),
    ],
)
def test_forms_of_rows(tmp_path: Path, row: object, texts: tuple[str, ...]):
    lines = tmp_path / "lines.jsonl"
    # A file that begins with a bracket is an array, so a row that is a list stands behind another.
    lines.write_text('{"text": "first"}\n' + json.dumps(row) + "\n\n")
    assert [sorted(one) for one in texts_of(lines)] == [["first"], sorted(texts)]
    array = tmp_path / "array.json"
    array.write_text(json.dumps([row, row], indent=2))
    assert [sorted(one) for one in texts_of(array)] == [sorted(texts)] * 2
    for path in (lines, array):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(texts_of(lines)) == len(texts_of(array)) == 2, "a byte order mark is no text"


def test_compressed_files_and_parquet_are_read_as_they_are(tmp_path: Path):
    import pyarrow
    from pyarrow import parquet

    rows = [talk(Q, "b"), talk("c")]
    plain = "".join(json.dumps(row) + "\n" for row in rows).encode()
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(plain[:50]) + gzip.compress(plain[50:]))
    packer = zstandard.ZstdCompressor()
    (tmp_path / "b.jsonl.zst").write_bytes(packer.compress(plain[:50]) + packer.compress(plain[50:]))
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "c.parquet")
    found = training.files([tmp_path])
    assert [path.name for path in found] == ["a.jsonl.gz", "b.jsonl.zst", "c.parquet"]
    assert [texts_of(path) for path in found] == [[(Q, "b"), ("c",)]] * 3
    assert [row.place for row in training.rows(found[2])] == [f"{found[2]}: row {n}" for n in (1, 2)]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b" \n\n ", "is empty"),
        (b"[]", "is empty"),
        (b'{"text": "a"}\nno\n', ":2: no JSON"),
        (b'{"text": "a"}\n\n{"id": 3}\n', r":3: neither turns .* nor a text .*, only id; rename"),
        (b'{"text": 3}\n', ":1: neither turns"),
        (b"7\n", ":1: neither turns .* only int"),
        (b'{"messages": [{"role": "user"}]}', ":1: a turn without value, content, text"),
        (b'[\n{"text": "a"},\n{"id": 1}\n]', ":3: neither turns"),
        (b'[{"text": "a"},', "the array is not closed"),
        (b'[{"text": "a"}]\nmore', "line 2: something follows the array"),
        (b'[{"text": "]"}, {"text": "\\"["}', "the array is not closed"),
        (b"{" * 100_000, ":1: no JSON"),
        (b"\xff\xfe\x00", ":1: no JSON"),
        (b"PK\x03\x04rest", "is a zip archive: unpack it"),
        (b"BZh9rest", "is compressed with bzip2: unpack it"),
        (b"\xfd7zXZ\x00rest", "is compressed with xz: unpack it"),
        (gzip.compress(b'{"text": "a"}\n')[:-9], "cannot be read"),
        (b"\x28\xb5\x2f\xfdrest", "cannot be read"),
        (b"\x28\xb5\x2f\xfd", "ends in the middle of a frame"),
        (zstandard.compress(b'{"text": "a"}\n')[:-3], "ends in the middle of a frame"),
        (b"PAR1rest", "cannot be read after row 0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes, says: str):
    path = tmp_path / "train.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=says) as error:
        list(training.rows(path))
    assert str(path) in str(error.value)


def test_commands_name_what_is_wrong(tmp_path: Path):
    quiz = planted.quiz(tmp_path)
    train = planted.written(tmp_path / "train.jsonl", [talk("a")])
    for words, says in [
        (("missing.jsonl", "--task", quiz), "missing.jsonl is missing"),
        ((train, "--task", quiz, "--rule", "lama2"), "did you mean llama2?"),
        ((train, "--task", quiz, "--tokens", "bytes"), "write words, cl100k, or the path"),
        ((train, "--task", quiz, "--run", "nowhere"), "no run.sqlite"),
        ((train,), "give --suite or --task"),
        ((train, "--suite", "general"), "no task has its data"),
    ]:
        done = harness(tmp_path, "contamination", *words)
        assert (done.returncode, done.stdout) == (2, ""), words
        assert says in done.stderr, done.stderr


def test_a_suite_with_missing_data_is_checked_without_it(tmp_path: Path):
    train = planted.written(tmp_path / "train.jsonl", [talk("a")])
    questions = ROOT / "tasks/gsm8k/fixture"
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror/gsm8k").symlink_to(questions)
    done = harness(
        tmp_path, "contamination", train, "--suite", "general", "--mirror", "mirror", "--format", "json"
    )
    assert done.returncode == 2, "a corrupt file is no question"
    (tmp_path / "mirror/gsm8k").unlink()
    words = "--task", f"gsm8k,{planted.quiz(tmp_path)}", "--format", "json"
    done = harness(tmp_path, "contamination", train, *words, "--mirror", "mirror")
    assert done.returncode == 3
    found = json.loads(done.stdout)
    assert list(found["tasks"]) == ["quiz"] and "harness data pull gsm8k" in found["left_out"]["gsm8k"]


def test_a_private_tasks_texts_are_not_shown(tmp_path: Path):
    tasks = [
        TaskQuestions(name, "std", {"a/0": QUESTIONS[0], "a/1": QUESTIONS[1]}, private, "mirror")
        for name, private in (("secret", True), ("open", False))
    ]
    train = Path(planted.written(tmp_path / "train.jsonl", [talk(QUESTIONS[0])]))
    found = measure(Questions(tasks), [train], rules.find("llama2"), tokens.find("words"))
    table = list(shown.lines(found, {}, 9))
    assert [line for line in table if line.startswith("  secret")] == [
        "  secret a/0: dirty, 40 of 40 tokens (100 %) (its text may not be shown)"
    ]
    document = shown.document(found, {}, 9)["tasks"]
    assert document["secret"]["dirty_samples"] == ["a/0"]
    del document["open"]
    hidden = str(document) + "".join(line for line in table if "open" not in line)
    assert not [word for word in QUESTIONS[0].split() if word in hidden]
    assert [one.text for task in found.tasks for one in task.worst(9)] == ["", QUESTIONS[0]]


@pytest.mark.parametrize("array", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_line_of_100_mb_is_cut_with_a_word(tmp_path: Path, array: bool):
    quiz = planted.quiz(tmp_path)
    path = tmp_path / "train.json"
    with path.open("w") as file:
        file.write("[" if array else "")
        file.write(json.dumps(talk(f"First\n{QUESTIONS[0]}"))[:-4])
        for _ in range(100):
            file.write(" filler\\n" * (1 << 17))
        file.write(json.dumps(QUESTIONS[1])[1:] + "}]}")
        file.write((",\n" if array else "\n") + json.dumps(talk(QUESTIONS[2])) + ("]" if array else "\n"))
    assert path.stat().st_size > 100 << 20
    words = "contamination", str(path), "--task", quiz, "--format", "json"
    done = subprocess.run(
        [sys.executable, "-m", "harness", *words],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
        cwd=ROOT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30)),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["cut"] == [f"{path}:1"]
    assert found["rows"] == 2
    assert found["tasks"]["quiz"]["dirty_samples"] == ["test/0", "test/2"], (
        "what follows the cut is not searched"
    )
