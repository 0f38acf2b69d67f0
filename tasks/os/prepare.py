"""Makes prompts.json and scripts.json from an AgentTuning checkout."""

from __future__ import annotations

import json
from pathlib import Path

from harness.data import Tell, extract_literals, write_literals
from harness.errors import DataError
from tasks.os import prompts

SOURCE = Path("AgentBench.old/src/tasks/os_interaction/task.py")
SCRIPTS = Path("AgentBench.old/data/os_interaction/scripts")
# The order of the mirror's file.
NAMED = (
    *(
        "scripts/5/checking/0.sh",
        "scripts/5/example/0.sh",
        "scripts/5/checking/1.sh",
        "scripts/5/example/1.sh",
    ),
    *("scripts/5/checking/2.sh", "scripts/5/example/2.sh", "scripts/2/init/nested_folders.sh"),
    *("scripts/1/init/stock-log.sh", "scripts/dev/check/0.sh", "scripts/dev/example/0.sh"),
    "scripts/dev/init/stock-log.sh",
)
ADDRESSES = (
    *(prompts.ONE_SHOT, prompts.INSTRUCTION, prompts.FIRST_LEAD, f"{prompts.TEXT}7", prompts.NEXT_LEAD),
    *(prompts.TRUNCATED, prompts.OUTPUT_LEAD, prompts.EMPTY),
)


def prepare(source: Path, target: Path, tell: Tell) -> list[Path]:
    """Read the prompt's literals with ast, and the scripts that problems name.

    Args:
        source: top folder of an AgentTuning checkout.
        target: where the files go.
        tell: called with a line for each file.

    Raises:
        DataError: the checkout lacks a file.
    """
    program = source / SOURCE
    if not program.is_file():
        raise DataError(f"{program} is missing: give the top folder of an AgentTuning checkout")
    folder = (source / SCRIPTS).parent
    try:
        scripts = {name: (folder / name).read_text(encoding="utf-8") for name in NAMED}
    except OSError as error:
        raise DataError(f"a script is missing in the checkout: {error}") from error
    target.mkdir(parents=True, exist_ok=True)
    path = target / "scripts.json"
    path.write_text(json.dumps(scripts, indent=1, ensure_ascii=False), encoding="utf-8")
    tell(1, 2, path.name)
    prompts = write_literals(target / "prompts.json", extract_literals(program, ADDRESSES))
    tell(2, 2, prompts.name)
    return [path, prompts]
