"""Makes SciWorld's files from an AgentTuning checkout and the installed simulator."""

from __future__ import annotations

import ast
import asyncio
import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.data import Tell, extract_literals
from harness.errors import DataError
from tasks.sciworld.jvm import Simulator
from tasks.sciworld.pool import SimulatorPool
from tasks.sciworld.prompts import CONSTANTS, EXEMPLARS
from tasks.sciworld.rows import EPISODES

FOLDER = Path("eval_heldout/science-world")

TEXTS = {
    f"science-world/eval.py:{name}": digest
    for name, digest in (
        ("INIT_PROMPT", "b3ad70e1f2ce42557f67b5b1d4d77ce2e0dcc09ffb321f15f1418ba19b7ea332"),
        ("eval#init_ack", "d87d3680146bd7ab0891a57de9e96fe87e53d32b5970b14519138ae3e8e24840"),
        ("eval#new_task_prefix", "a7fc7183db3776f2c31d88e04a166cc14715af42ee00d699d50a99ed31bd6734"),
        ("eval#system_message", "5bb66d62b5db056ab5f4dd7fc98d69dee93be0dd2bb41ab5553033fc1a74250c"),
        ("eval#think_observation", "b814aabdde112d89d45105c3205482949a86d7bbc33040034db21f7a85c84c4a"),
        ("eval#fewshot_end_marker", "8313dba5b0ad6f986562e6391cfe24024ee5faeebbeb084fddb2af6741a5f038"),
    )
}
"""The texts of `eval.py` by address, with the sha256 by which each is found among the script's strings."""

CAPS = {15: 9, 25: 5}
"""Upstream takes ten variations of each task, of these two fewer."""


def prepare(source: Path, target: Path, tell: Tell) -> list[Path]:
    """Write constants.json, the exemplars and the list of episodes.

    Args:
        source: top folder of an AgentTuning checkout.
        target: where the files go.
        tell: called with a line for each task whose episodes are drawn.

    Raises:
        DataError: the checkout is not the one that is pinned.
    """
    scripts = source / FOLDER
    for name in ("eval.py", "eval_utils.py", EXEMPLARS):
        if not (scripts / name).is_file():
            raise DataError(f"{scripts / name} is missing: give the top folder of an AgentTuning checkout")
    constants = {
        **texts(scripts / "eval.py"),
        "science-world/eval_utils.py:rooms": extract_literals(scripts / "eval_utils.py", ["rooms"])["rooms"],
    }
    (target / EXEMPLARS).parent.mkdir(parents=True, exist_ok=True)
    (target / EXEMPLARS).write_bytes((scripts / EXEMPLARS).read_bytes())
    (target / CONSTANTS).write_text(json.dumps(constants, indent=1, ensure_ascii=False), encoding="utf-8")
    (target / EPISODES).write_text(json.dumps(asyncio.run(episodes(tell)), indent=0), encoding="utf-8")
    return [target / CONSTANTS, target / EXEMPLARS, target / EPISODES]


def texts(script: Path) -> dict[str, str]:
    """Find the pinned texts among a script's strings, reading it without executing it."""
    known = {digest: address for address, digest in TEXTS.items()}
    found = {
        known[digest]: text
        for text in _strings(ast.parse(script.read_text(encoding="utf-8")))
        if (digest := hashlib.sha256(text.encode()).hexdigest()) in known
    }
    if missing := [address for address in TEXTS if address not in found]:
        raise DataError(
            f"{script} does not hold the texts of {', '.join(missing)}: check out the pinned commit"
        )
    return {address: found[address] for address in TEXTS}


def _strings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
            yield node.value.strip()


async def episodes(tell: Tell) -> list[dict[str, Any]]:
    """Ask the simulator for its tasks and draw the episodes upstream plays."""
    pool = SimulatorPool(slots=1)
    try:
        slot = await pool.acquire()
        names = await slot.run(slot.task_names())
        rows: list[dict[str, Any]] = []
        for number, name in enumerate(names):
            rows.append(await slot.run(_row(slot, number, name)))
            tell(len(rows), len(names), name)
        return rows
    finally:
        await pool.close()


async def _row(slot: Simulator, number: int, name: str) -> dict[str, Any]:
    await slot.load(name, 0, "easy")
    test = await slot.variations("Test")
    drawn = list(test)
    random.Random(1).shuffle(drawn)
    return {
        "task_num": number,
        "task": name,
        "variations": drawn[: CAPS.get(number, 10)],
        "n_test": len(test),
        "n_train": len(await slot.variations("Train")),
        "n_dev": len(await slot.variations("Dev")),
        "n_max": await slot.most_variations(name),
        "test_first": test[0],
    }
