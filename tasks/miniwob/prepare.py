"""Builds the task's data folder from an AgentTuning checkout, which is read and never executed."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.data import Tell, extract_literals
from harness.errors import DataError

_ROOT = "eval_heldout/miniwob++"
_AGENT = "llm_agent.py"
_PROMPT = "prompt.py"

# Key in constants.json, and the literal's address in the source.
TEXTS = {
    "get_response#ack": "get_response#5",
    "get_response#next_task_prefix": "get_response#10",
    "get_response#system_llama": "get_response#26",
    "get_response#system_gpt": "get_response#4",
    "get_response#fewshot_file": "FEW_SHOT",
}
_SHOTS = [0, 5]
"""Which exemplars the released code picks; numbers in its subscripts, not literals with an address."""

LISTS = {
    "instruction_history_prompt": (0, 1, 2, 4, 5),
    "webpage_state_prompt": (0, 1, 2, 3, 4, 5),
    "rci_plan": (0, 1),
    "generate_action": (7, 8),
    "current_plan_prompt": (0, 1, 2),
}
_REGEXES = ("davinci_type", "chatgpt_type", "press", "clickxpath", "clickoption", "movemouse")


def prepare(source: Path, target: Path, tell: Tell) -> list[Path]:
    """Copy the prompt files byte for byte and collect the literals of the code.

    Args:
        source: an AgentTuning checkout, or its folder `eval_heldout/miniwob++`.
        target: where the files go.
        tell: called with a line for each file.

    Returns:
        The files written.

    Raises:
        DataError: the checkout lacks a file or a literal.
    """
    root = source / _ROOT if (source / _ROOT).is_dir() else source
    for name in (_AGENT, _PROMPT, "available_tasks.txt", "prompt/few-shot.json"):
        if not (root / name).is_file():
            raise DataError(f"{root / name} is missing; give the path of an AgentTuning checkout")
    texts, written = _texts(root), list[Path]()
    for path in texts:
        written.append(_copy(root, target, path))
        tell(len(written), len(texts) + 1, path.name)
    constants = target / "constants.json"
    constants.write_text(json.dumps(collect(root), indent=1, ensure_ascii=False), encoding="utf-8")
    tell(len(texts) + 1, len(texts) + 1, constants.name)
    return [*written, constants]


def _texts(root: Path) -> list[Path]:
    found = [path for pattern in ("*.txt", "*.json") for path in (root / "prompt").rglob(pattern)]
    return [root / "available_tasks.txt", *sorted(found)]


def _copy(root: Path, target: Path, path: Path) -> Path:
    place = target / path.relative_to(root)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(path.read_bytes())
    return place


def collect(root: Path) -> Mapping[str, Any]:
    """The literals of the released code under the keys of `constants.json`."""
    texts = extract_literals(root / _AGENT, TEXTS.values())
    found: dict[str, Any] = {_key(_AGENT, "BIG_PROMPT"): _stripped(root / _AGENT, "BIG_PROMPT")}
    found |= {_key(_AGENT, key): texts[address] for key, address in TEXTS.items()}
    found[_key(_AGENT, "get_response#fewshot_indices")] = _SHOTS
    for method, places in LISTS.items():
        found[_key(_AGENT, f"LLMAgent.{method}#literals_in_order")] = _in_order(root, method, places)
    regexes = extract_literals(root / _PROMPT, [f"Prompt.{name}_regex" for name in _REGEXES])
    return found | {_key(_PROMPT, address): value for address, value in regexes.items()}


def _stripped(source: Path, name: str) -> str:
    """A module's constant that is written as a literal with `.strip()` behind it."""
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)):
            continue
        match node.targets, node.value.func:
            case [ast.Name(id=found)], ast.Attribute(value=ast.Constant(value=str(text)), attr="strip"):
                if found == name:
                    return text.strip()
            case _:
                continue
    raise DataError(f"{source} has no {name} that is a stripped literal")


def _in_order(root: Path, method: str, places: Sequence[int]) -> list[Any]:
    addresses = [f"LLMAgent.{method}#{place}" for place in places]
    found = extract_literals(root / _AGENT, addresses)
    return [found[address] for address in addresses]


def _key(file: str, address: str) -> str:
    return f"miniwob++/{file}:{address}"
