"""Makes the task's prompts from a checkout of AgentTuning, and copies its questions and vocabulary."""

from __future__ import annotations

import shutil
from pathlib import Path

from harness.data import Tell, checkout_literals, write_literals
from harness.errors import DataError
from tasks.knowledgegraph.prompts import ADDRESSES, API_SCRIPT, TASK_SCRIPT
from tasks.knowledgegraph.rows import OLD, ONTOLOGY, QUESTIONS, SPLITS

FILES = (
    *(QUESTIONS / f"{split}.json" for split in SPLITS),
    *(ONTOLOGY / name for name in ("vocab.json", "fb_roles")),
)


def prepare(source: Path, target: Path, tell: Tell) -> list[Path]:
    """Write prompts.json, and the files that the checkout holds as they are.

    Raises:
        DataError: it is no checkout of AgentTuning.
    """
    texts = {
        **checkout_literals(source, [name for name in ADDRESSES if name.startswith(TASK_SCRIPT)]),
        **checkout_literals(source, [name for name in ADDRESSES if name.startswith(API_SCRIPT)]),
    }
    written = [write_literals(target / "prompts.json", texts)]
    for done, path in enumerate(FILES, 1):
        there = source / path.relative_to(OLD.parts[0])
        if not there.is_file():
            raise DataError(f"{there} is missing: give the top folder of an AgentTuning checkout")
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(there, target / path)
        written.append(target / path)
        tell(done, len(FILES), path.name)
    return written
