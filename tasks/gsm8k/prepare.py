"""Makes the task's files from what a user has: an AgentTuning checkout, or the hub's data set."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.data import Tell, extract_literals, write_literals
from harness.errors import DataError
from tasks._shared import hub
from tasks.gsm8k.episode import ASSENT, INSTRUCTION, SYSTEM
from tasks.gsm8k.task import FOLDER

HUB = "openai/gsm8k"
REVISION = "e53f048856ff4f594e959d75785d2c2d37b678ee"


def prepare(source: Path, target: Path, tell: Tell) -> list[Path]:
    """Write prompts.json from an AgentTuning checkout, or the questions when `source` is the word `hub`.

    Raises:
        DataError: the checkout does not hold upstream's script.
        MissingPart: the extra `hf` is not installed, or the hub does not answer.
    """
    if str(source) == "hub":
        return from_hub(target, tell)
    script = source / "eval_general/eval_gsm8k_tgi.py"
    if not script.is_file():
        raise DataError(f"{script} is missing: give the top folder of an AgentTuning checkout, or `hub`")
    texts = extract_literals(script, [SYSTEM, INSTRUCTION, ASSENT])
    tell(1, 1, "prompts.json")
    return [write_literals(target / "prompts.json", texts)]


def from_hub(target: Path, tell: Tell) -> list[Path]:
    """Download the questions at a pinned revision and write them as upstream's repository has them."""
    written: list[Path] = []
    for done, split in enumerate(("train", "test"), 1):
        rows = hub.rows(HUB, "main", split, REVISION)
        written.append(write_rows(target / FOLDER / f"{split}.jsonl", rows))
        tell(done, 2, f"{split}.jsonl")
    return written


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write rows of {question, answer} in upstream's own form."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"question": r["question"], "answer": r["answer"]}) for r in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path
