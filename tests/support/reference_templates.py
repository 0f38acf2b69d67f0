"""What transformers writes for the chat templates of tests/core/models/checkpoints.

Run where transformers is installed, it writes the bytes that tests compare with:

    python tests/support/reference_templates.py
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "core" / "models" / "checkpoints"
STORED = FOLDER / "expected.json"
NAMES = tuple(sorted(path.name for path in FOLDER.iterdir() if path.is_dir()))
TURNS = (1, 2, 5)
SYSTEM = 'Keep to <b>short</b> & "plain" words: é 中 {{ x }}.\n Two lines.'
REFUSING = ("gemma-2", "mixtral", "phi-3")
"""Checkpoints without a system role; their system text goes before the first user's text."""

TODAY = "@TODAY@"
"""Stands in the stored bytes for the day, as Llama 3.1 writes it."""

Talk = Sequence[dict[str, str]]


def talk(turns: int, *, system: bool) -> list[dict[str, str]]:
    """A conversation with so many user turns; answers hold thoughts, spaces and line breaks."""
    said = [{"role": "system", "content": SYSTEM}] if system else []
    for turn in range(turns):
        said.append({"role": "user", "content": f" Where is box {turn}?\n<|odd|> {{% if %}}"})
        if turn < turns - 1:
            thought = f"<think>\nLook at {turn}.\n</think>\n\n" if turn % 2 else ""
            said.append({"role": "assistant", "content": f"{thought} On shelf {turn} \N{SNOWMAN} \n"})
    return said


def cases() -> dict[str, tuple[int, bool]]:
    """How many turns each compared conversation has, and whether a system text."""
    return {f"{turns}{'+system' * system}": (turns, system) for turns in TURNS for system in (False, True)}


def moved(said: Talk) -> list[dict[str, str]]:
    """The conversation with the system text before the first user's text, a blank line between."""
    first = {"role": "user", "content": f"{said[0]['content']}\n\n{said[1]['content']}"}
    return [first, *said[2:]]


def reference(name: str) -> dict[str, str]:
    """What `apply_chat_template` writes for each conversation, from the checkpoint's own files."""
    tokenizer = _tokenizer(name)
    written: dict[str, str] = {}
    for case, (turns, system) in cases().items():
        said: Talk = talk(turns, system=system)
        said = moved(said) if system and name in REFUSING else said
        text = tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
        written[case] = text.replace(f"{datetime.now():%d %b %Y}", TODAY)  # noqa: DTZ005 - as the template
    return written


def _tokenizer(name: str) -> Any:
    """Load the checkpoint's files beside a vocabulary of one word."""
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"model": {"type": "WordLevel", "vocab": {"<unk>": 0}, "unk_token": "<unk>"}}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / name
        shutil.copytree(FOLDER / name, folder)
        (folder / "tokenizer.json").write_text(
            json.dumps({"version": "1.0", "added_tokens": []} | vocabulary)
        )
        return PreTrainedTokenizerFast.from_pretrained(folder)


if __name__ == "__main__":
    import transformers

    found = {name: reference(name) for name in NAMES}
    stored = {"transformers": transformers.__version__, "written": found}
    STORED.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
