"""Makes the task's files from what a user has: an AgentTuning checkout, or the hub's data set."""

from __future__ import annotations

from pathlib import Path

from harness.authoring import write_jsonl
from harness.data import Tell, checkout_literals, write_literals
from tasks._shared import hub
from tasks.gsm8k.prompts import TEXTS
from tasks.gsm8k.task import FOLDER, ROW

HUB = "openai/gsm8k"
REVISION = "e53f048856ff4f594e959d75785d2c2d37b678ee"


def prepare(source: Path, target: Path, tell: Tell) -> list[Path]:
    """Write prompts.json from an AgentTuning checkout, or the questions when `source` is the word `hub`.

    Raises:
        DataError: the checkout does not hold upstream's script.
        MissingPart: the extra `hf` is not installed, or the hub does not answer.
    """
    if str(source) != "hub":
        written = write_literals(target / "prompts.json", checkout_literals(source, TEXTS, ", or `hub`"))
        tell(1, 1, written.name)
        return [written]
    files: list[Path] = []
    for done, split in enumerate(("train", "test"), 1):
        rows = ({key: row[key] for key in ROW} for row in hub.rows(HUB, "main", split, REVISION))
        files.append(write_jsonl(target / FOLDER / f"{split}.jsonl", rows))
        tell(done, 2, f"{split}.jsonl")
    return files
