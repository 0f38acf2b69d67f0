import ast
import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data import digest, extract_literals, literals, write_literals
from harness.errors import DataError

SOURCE = '''
"""Module text."""
PROMPT = """first
second"""
SHOTS = [{"role": "user", "content": "é"}, {"role": "agent", "content": "b"}]
JOINED = "a" "b" + "c"
COMPUTED = make()


def ask(kind="default"):
    """Docstring counts."""
    send({"role": "user", "content": f"<{name(', ')}> tail {x:>4}"})

    def inner():
        return "not of ask"

    return "yes" if kind == "no" else "last"


class Tool:
    label: str = "class level"

    def __init__(self):
        self.description = "a tool"
        self.label2 = "set inside"

    async def run(self):
        PROMPT = "local, not the module's"
        return "ran"


class Other:
    def close(self):
        return "other"
'''


@pytest.mark.parametrize(
    ("address", "value"),
    [
        ("PROMPT", "first\nsecond"),
        ("SHOTS", [{"role": "user", "content": "é"}, {"role": "agent", "content": "b"}]),
        ("JOINED", "abc"),
        ("ask#0", "default"),
        ("ask#1", "Docstring counts."),
        ("ask#3", "user"),
        ("ask#5", "<"),
        ("ask#6", "> tail "),
        ("ask#7", ">4"),
        ("ask#8", ", "),
        ("ask#9", "yes"),
        ("ask#10", "no"),
        ("ask#11", "last"),
        ("ask.inner#0", "not of ask"),
        ("inner#0", "not of ask"),
        ("Tool.label", "class level"),
        ("Tool.description", "a tool"),
        ("Tool.run#1", "ran"),
        ("run#1", "ran"),
        ("owner/repo:some/file.py:close#0", "other"),
    ],
)
def test_an_address_names_one_literal(address, value):
    assert extract_literals(SOURCE, [address]) == {address: value}


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("NOTHING", "no constant NOTHING"),
        ("COMPUTED", "not a literal"),
        ("ask#12", "12 string constants"),
        ("ask#x", "no #x"),
        ("nobody#0", "0 functions"),
    ],
)
def test_an_address_that_names_nothing_is_refused(address, words):
    with pytest.raises(DataError, match=words):
        extract_literals(SOURCE, [address])


def test_an_ambiguous_function_is_refused():
    with pytest.raises(DataError, match="2 functions"):
        extract_literals("class A:\n def f(self): 'x'\nclass B:\n def f(self): 'y'", ["f#0"])


def test_the_source_is_never_executed(tmp_path):
    trap = tmp_path / "trap"
    source = tmp_path / "upstream.py"
    source.write_text(f"from pathlib import Path\nPath({str(trap)!r}).touch()\nTEXT = 'kept'\n")
    assert extract_literals(source, ["TEXT"]) == {"TEXT": "kept"}
    assert not trap.exists()


def test_unreadable_sources_are_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.py"):
        extract_literals(tmp_path / "gone.py", ["A"])
    with pytest.raises(DataError, match="Python source"):
        extract_literals("def broken(:", ["A"])


@given(st.lists(st.text(max_size=20), min_size=1, max_size=8))
def test_any_strings_come_back_in_source_order(texts):
    body = "\n".join(f"    use({text!r})" for text in texts)
    found = extract_literals(f"def f():\n{body}\n", [f"f#{n}" for n in range(len(texts))])
    assert list(found.values()) == texts


def test_the_three_shapes_read_the_same(tmp_path):
    values = {"a.py:X": "text ü", "a.py:f#1": [{"k": "é"}, 2], "a.py:D": {"value": 1, "more": 2}}
    hashes = {address: digest(value) for address, value in values.items()}
    shapes = {
        "pinned": {a: {"value": v, "sha256": hashes[a]} for a, v in values.items()},
        "plain": {"_meta": {"from": "here"}, **values},
        "strings": {"_meta": {}, "strings": values, "sha256": hashes},
    }
    for name, shape in shapes.items():
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(shape))
        assert literals(path) == values
    assert literals(write_literals(tmp_path / "new" / "prompts.json", values)) == values


def test_a_changed_literal_shows_both_hashes(tmp_path):
    path = write_literals(tmp_path / "prompts.json", {"a.py:X": "right"})
    path.write_text(path.read_text().replace('"right"', '"wrong"'))
    with pytest.raises(DataError) as caught:
        literals(path)
    for text in ("right", "wrong"):
        assert hashlib.sha256(text.encode()).hexdigest() in str(caught.value)
    assert "a.py:X" in str(caught.value)


@pytest.mark.parametrize("content", ["{", "[]", "\x00"])
def test_a_file_that_holds_no_literals_is_named(tmp_path, content):
    path = tmp_path / "prompts.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"prompts\.json"):
        literals(path)
    with pytest.raises(DataError, match="missing"):
        literals(tmp_path / "none.json")


def test_every_file_of_the_mirror_reads(mirror: Path):
    files = sorted([*mirror.glob("*/prompts.json"), *mirror.glob("*/constants.json")])
    assert len(files) >= 15
    count = 0
    for file in files:
        found = literals(file)
        assert found, file
        assert not any(address.startswith("_") for address in found)
        count += len(found)
    assert count >= 150


def test_what_the_mirror_pins_can_be_built_from_source(mirror: Path):
    """Addresses of a numbered kind survive a round trip through source rebuilt around them."""
    found = literals(mirror / "gsm8k" / "prompts.json")
    rebuilt = ast.unparse(ast.parse("def doc_to_text(d):\n    use('llama-2')\n    pass"))
    rebuilt += "".join(f"\n    use({value!r})" for value in found.values())
    assert extract_literals(rebuilt, found) == dict(found)


def test_literals_are_written_in_the_mirrors_own_bytes(mirror: Path, tmp_path):
    """Otherwise what `harness data prepare` writes would not have the pinned hash of the file."""
    for task in ("gsm8k", "mmlu", "mt_bench", "alfworld", "os", "dbbench"):
        file = mirror / task / "prompts.json"
        assert write_literals(tmp_path / task, literals(file)).read_bytes() == file.read_bytes()
