"""Makes the task's files from what a user has: HotpotQA's own releases, AgentTuning's and BOLAA's sources."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.data import Tell, extract_literals, holder
from harness.errors import DataError
from tasks._shared import prompts_file
from tasks.hotpotqa.rows import LEVELS

RELEASES = {
    "easy": "hotpot_train_v1.1.json",
    "medium": "hotpot_train_v1.1.json",
    "hard": "hotpot_dev_distractor_v1.json",
}
SELECTION = Path(__file__).with_name("selection.json")
"""HotpotQA's ids of the 300 questions in AgentTuning's order, with the row numbers upstream kept."""

_NOTES = {
    "AgentTuning": "THUDM/AgentTuning@e33a45d7eab2b63cac4d1956da1e6377fca9fcc7 "
    "(file headers: Apache-2.0, salesforce)",
    "BOLAA": "salesforce/BOLAA@ea7a238a6ecd358130e9e5c4f57395da4498d028 Apache-2.0",
}
_INSTRUCTIONS = tuple(
    f"{name}_INSTRUCTION" for name in ("ZEROSHOT", "REACT", "PLAN", "PLANNER", "PLANNERREACT")
)
_EXAMPLES = tuple(f"{name}_EXAMPLE" for name in ("REACT", "PLAN", "PLANNER", "PLANNERREACT"))
_SOURCES = (
    ("AgentTuning", "eval_heldout/hotpotQA/src/pre_prompt.py", _INSTRUCTIONS),
    ("AgentTuning", "eval_heldout/hotpotQA/src/fewshots.py", _EXAMPLES),
    ("BOLAA", "hotpotqa_run/pre_prompt.py", _INSTRUCTIONS),
)


def prepare_together(sources: Sequence[Path], target: Path, tell: Tell) -> list[Path]:
    """Write every file that can be made from the sources.

    Args:
        sources: a folder with HotpotQA's two JSON releases; the checkouts of AgentTuning and BOLAA; or all.
        target: where the files go.
        tell: called with a line for each file.

    Raises:
        DataError: nothing usable was found, or a release lacks one of the questions.
    """
    written: list[Path] = []
    releases = {name: holder(sources, name) for name in dict.fromkeys(RELEASES.values())}
    if all(releases.values()):
        written += _questions({n: f / n for n, f in releases.items() if f}, target, tell)
    checkouts = {path: holder(sources, path) for _, path, _ in _SOURCES}
    if all(checkouts.values()):
        written.append(_prompts({p: f / p for p, f in checkouts.items() if f}, target))
        tell(len(written), len(written), written[-1].name)
    if not written:
        lacking = [name for name, found in (releases | checkouts).items() if found is None]
        raise DataError(
            f"{', '.join(map(str, sources))}: nothing can be made without {', '.join(lacking)}; "
            f"give --from for both {' and '.join(releases)}, or for the checkouts AgentTuning and BOLAA"
        )
    return written


def _questions(files: Mapping[str, Path], target: Path, tell: Tell) -> list[Path]:
    chosen: Mapping[str, list[tuple[str, int]]] = json.loads(SELECTION.read_text(encoding="utf-8"))
    target.mkdir(parents=True, exist_ok=True)
    releases = {name: _by_id(path) for name, path in files.items()}
    written: list[Path] = []
    for level in LEVELS:
        release = releases[RELEASES[level]]
        lines: list[str] = []
        for row, (question, index) in enumerate(chosen[level]):
            if question not in release:
                raise DataError(
                    f"{RELEASES[level]} has no question {question}: not the release that is needed"
                )
            lines.append(json.dumps(_row(level, row, index, release[question]), ensure_ascii=False))
        path = target / f"{level}.jsonl"
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        written.append(path)
        tell(len(written), len(LEVELS), path.name)
    return written


def _by_id(path: Path) -> dict[str, Mapping[str, Any]]:
    return {entry["_id"]: entry for entry in json.loads(path.read_text(encoding="utf-8"))}


def _row(level: str, row: int, index: int, entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "uid": f"hotpotqa/{level}/{row:03d}",
        "level_file": level,
        "row": row,
        "orig_index": index,
        "id": entry["_id"],
        "level": entry["level"],
        "type": entry["type"],
        "question": entry["question"],
        "answer": entry["answer"],
        "supporting_facts": entry["supporting_facts"],
        "context": entry["context"],
    }


def _prompts(files: Mapping[str, Path], target: Path) -> Path:
    texts: dict[str, str] = {}
    for repo, path, names in _SOURCES:
        for name, text in extract_literals(files[path], names).items():
            texts[f"{repo}:{path}:{name}"] = text
    return prompts_file.write(target / "prompts.json", _NOTES, texts)
