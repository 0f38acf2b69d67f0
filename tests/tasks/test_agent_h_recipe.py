"""The items of Agent-H made from a file of conversations: what qualifies, and that the draw is the same."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from harness.data import quiet
from harness.errors import DataError
from tasks.agent_h.prepare import prepare
from tasks.agent_h.recipe import Drawing, items, turns
from tasks.agent_h.rows import CIRCUMSTANCES, rows

PLAIN = "SYSTEM: You help people. No functions."
OFFER = 'SYSTEM: You may call: {"name": "get_time", "parameters": {}}'
END = "<|endoftext|>\n\n\n"


def called(n: int) -> dict[str, str]:
    chat = (
        f"USER: What time is it in town {n}?\n\n\nASSISTANT: <functioncall> {{}} {END}"
        f'FUNCTION RESPONSE: {{"time": {n}}}\n\n\nASSISTANT: It is {n} there. {END}'
    )
    return {"system": OFFER, "chat": chat}


def conversations() -> list[dict[str, str]]:
    """30 of each kind."""
    found = [called(n) for n in range(60)]
    for n in range(30):
        told = f"ASSISTANT: Surely {n}. {END}"
        found += [
            {"system": PLAIN, "chat": f"USER: Hello {n}\n\n\n{told}"},
            {"system": OFFER, "chat": f"USER: Hello {n}\n\n\n{told}"},
            {"system": PLAIN, "chat": f"USER: Name {n} as a list\n\n\n{told}"},
        ]
    return found


def made(folder: Path, found: list[dict[str, str]], *, array: bool) -> tuple[list[str], dict[str, object]]:
    source = folder / "glaive.json"
    text = json.dumps(found, indent=1) if array else "\n".join(map(json.dumps, found))
    source.write_text(text)
    target = folder / "made"
    target.mkdir(exist_ok=True)
    prepare(source, target, quiet)
    return (target / "items.jsonl").read_text().splitlines(), json.loads((target / "counts.json").read_text())


def test_the_same_items_whatever_the_order_and_the_form_of_the_file(tmp_path: Path):
    found = conversations()
    items_, counts = made(tmp_path, found, array=True)
    random.Random(5).shuffle(found)
    assert made(tmp_path, found, array=False) == (items_, counts)
    assert counts["read"] == 150 and counts["usable"] == counts["taken"]
    assert set(counts["taken"]) == set(CIRCUMSTANCES) and all(counts["taken"].values())
    assert len(list(rows(tmp_path / "made"))) == len(items_) == 150, "a conversation makes one item"


def test_what_a_call_makes():
    needed, alone = items(OFFER, called(7)["chat"], "No functions here.")
    assert (needed["circumstance"], needed["answer"], needed["tools"]) == (
        "tools-needed",
        "It is 7 there.",
        ["get_time"],
    )
    assert [one["role"] for one in needed["messages"]] == ["system", "user", "assistant", "user"]
    assert needed["messages"][-1]["content"] == 'FUNCTION RESPONSE: {"time": 7}'
    assert (alone["circumstance"], alone["tools"]) == ("no_tools-needed", [])
    assert alone["messages"][0]["content"] == "No functions here."


def test_answers_that_are_an_agents_are_no_ground_truth():
    drawing = Drawing()
    drawing.add(list(items(PLAIN, f"USER: Hi\n\n\nASSISTANT: thought: hm {END}", "")))
    assert drawing.taken() == [] and drawing.read == 1


def test_the_smallest_hashes_are_drawn():
    small, whole = Drawing(most=3), Drawing()
    for n in range(20):
        for drawing in (small, whole):
            drawing.add(list(items(PLAIN, f"USER: Hello {n}\n\n\nASSISTANT: Yes. {END}", "")))
    assert small.taken() == whole.taken()[:3]
    assert small.counts()["usable"]["no_tools-not_needed"] == 20


def test_turns_of_a_conversation_without_any():
    assert turns("nothing to see") == []
    assert list(items(PLAIN, "USER: only a question", "")) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "0 conversations give no item"),
        ("{", ":1: no JSON"),
        ('{"system": "a"}', ":1: a conversation needs `system` and `chat`"),
        ('[{"system": "a", "chat": "b"}', "the array is not closed"),
        ("\n[3]", ":2: a conversation needs"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path: Path, text: str, says: str):
    (tmp_path / "glaive.json").write_text(text)
    with pytest.raises(DataError, match=says):
        prepare(tmp_path / "glaive.json", tmp_path, quiet)
