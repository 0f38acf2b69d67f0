"""The templates that checkpoints bring, byte for byte as transformers renders them.

The folders of `checkpoints` have the files of public models, with templates written here that use the same
constructs. `expected.json` holds what transformers wrote for them (tests/support/reference_templates.py);
where transformers is installed it is asked again.
"""

import importlib.util
import json
from datetime import datetime

import pytest
from reference_templates import FOLDER, NAMES, REFUSING, STORED, SYSTEM, TODAY, cases, reference, talk

from harness.templates import template
from harness.types import Message

WRITTEN = json.loads(STORED.read_text(encoding="utf-8"))["written"]


def messages(turns, *, system):
    return tuple(Message(said["role"], said["content"]) for said in talk(turns, system=system))


def test_thirteen_checkpoints_are_compared():
    assert set(WRITTEN) == set(NAMES) and len(NAMES) == 13
    assert all(set(WRITTEN[name]) == set(cases()) for name in NAMES)


@pytest.mark.parametrize("case", cases())
@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_renders_as_transformers_renders_it(name, case):
    used = template(str(FOLDER / name))
    turns, system = cases()[case]
    bos = "" if used.writes_bos else dict(used.variables).get("bos_token", "")
    expected = WRITTEN[name][case].replace(TODAY, f"{datetime.now():%d %b %Y}")  # noqa: DTZ005 - as the template
    ours = used.render(messages(turns, system=system))
    assert ours == expected.removeprefix(bos)
    assert (SYSTEM.strip() in ours or json.dumps(SYSTEM, ensure_ascii=False) in ours) == system


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="the stored bytes are compared")
def test_the_stored_bytes_are_what_transformers_writes():
    assert {name: reference(name) for name in NAMES} == WRITTEN


@pytest.mark.parametrize("name", NAMES)
def test_only_refused_system_texts_are_moved_and_said_to_be(name):
    used = template(str(FOLDER / name))
    used.try_out()
    assert used.moves_system == (name in REFUSING)
    assert any("in front of the first user message" in note for note in used.notes) == (name in REFUSING)
    assert any("the day" in note for note in used.notes) == (name == "llama-3.1")
