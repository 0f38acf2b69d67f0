"""Makes the task's data from the data sets and the sources of upstream and langchain."""

from __future__ import annotations

import csv
import json
import logging
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.data import Tell, extract_literals, holder
from harness.errors import DataError
from tasks._shared import prompts_file
from tasks.rewoo.rows import FOLDER
from tasks.rewoo.toolbox import SPEECH

log = logging.getLogger(__name__)

SEED, SIZE = 2024, 50
COUNTS = {
    "hotpot_qa": 90447,
    "trivia_qa": 138384,
    "gsm8k": 7473,
    "physics_question": 53,
    "sports_understanding": 1000,
    "strategy_qa": 2290,
    "sotu_qa": 74,
}
"""Rows of each data set; with another number, other rows would be drawn."""

_BIGBENCH = ("physics_question", "sports_understanding", "strategy_qa")
_REWOO = "eval_heldout/rewoo"
_GRADER = "evaluation/qa/eval_prompt.py"
_NOTES = {
    "AgentTuning": "THUDM/AgentTuning@e33a45d7eab2b63cac4d1956da1e6377fca9fcc7, adapted from "
    "billxbf/ReWOO@9cd0283043ff4be0c9d614fda2789d143ca6ffd1 (MIT)",
    "langchain": "langchain 0.0.187 (MIT)",
}
_CONSTANTS = {
    "prompts/planner.py": (
        "DEFAULT_PREFIX",
        "DEFAULT_SUFFIX",
        "DEFAULT_FEWSHOT",
        "RESOURCE_RELUCTANT_SUFFIX",
    ),
    "prompts/solver.py": ("DEFAULT_PREFIX", "DEFAULT_SUFFIX", "TOOL_RELUCTANT_SUFFIX"),
    "prompts/fewshots.py": ("HOTPOTQA_PWS_BASE", "HOTPOTQA_PWS_EXTRA", "TRIVIAQA_PWS", "GSM8K_PWS"),
    "nodes/Worker.py": (
        "GoogleWorker.description",
        "WikipediaWorker.description",
        "DocStoreLookUpWorker.description",
        "WolframAlphaWorker.description",
        "CalculatorWorker.description",
        "LLMWorker.description",
    ),
}


def prepare_together(sources: Sequence[Path], target: Path, tell: Tell) -> list[Path]:
    """Write the files for which the sources have the material.

    Args:
        sources: any of: the checkouts of AgentTuning, ReWOO, grade-school-math and langchain (0.0.187; the
            folder that has the package in it); a folder with `hotpot_train_v1.1.json` or with
            `hotpot_qa/*.parquet` (fullwiki, train); one with `trivia_qa/*.parquet` (rc.nocontext, train).
        target: where the files go.
        tell: called with a line for each file.

    Raises:
        DataError: nothing usable was found, or a data set has another number of rows than upstream's.
    """
    makers: Sequence[Callable[[Path, Path], Iterable[Path]]] = (_speech, _tables, _gsm8k, _hotpot, _trivia)
    written: list[Path] = []
    refused: list[DataError] = []
    for make in makers:
        try:
            for path in (path for source in sources for path in make(source, target)):
                written.append(path)
                tell(len(written), None, path.name)
        except DataError as error:  # one data set in another edition does not keep the others from being made
            refused.append(error)
    tuning, chain = holder(sources, f"{_REWOO}/nodes/Worker.py"), holder(sources, f"langchain/{_GRADER}")
    if tuning and chain:
        written.append(prompts_file.write(target / "prompts.json", _NOTES, _prompts(tuning, chain)))
        tell(len(written), None, written[-1].name)
    for error in refused if written else ():
        log.warning("left out: %s", error)
    if refused and not written:
        raise refused[0]
    if not written:
        raise DataError(
            f"{', '.join(map(str, sources))}: nothing can be made of it; give --from for ReWOO and "
            "grade-school-math, for AgentTuning together with langchain 0.0.187, or for data sets"
        )
    return written


def write_sample(target: Path, name: str, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Draw upstream's fifty rows and write them.

    Raises:
        DataError: the number of rows is not the one the draw was made from.
    """
    import numpy as np

    if len(rows) != COUNTS[name]:
        raise DataError(f"{name} has {len(rows)} rows, upstream's split has {COUNTS[name]}")
    drawn = np.random.RandomState(SEED).choice(len(rows), SIZE, replace=False)
    path = target / FOLDER / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as out:
        for number, index in enumerate(drawn):
            named = {"uid": f"rewoo/{name}/{number:02d}", "source_index": int(index)}
            out.write(json.dumps({**named, **rows[int(index)]}, ensure_ascii=False) + "\n")
    return path


def _speech(source: Path, target: Path) -> Iterable[Path]:
    found = source / SPEECH
    if found.is_file():
        (target / SPEECH).parent.mkdir(parents=True, exist_ok=True)
        yield Path(shutil.copyfile(found, target / SPEECH))


def _tables(source: Path, target: Path) -> Iterable[Path]:
    for name in _BIGBENCH:
        path = source / "data/bigbench" / f"{name}.csv"
        if path.is_file():
            yield write_sample(target, name, _csv(path, "input", "target"))
    path = source / "data/SOTU/SOTU_QA.csv"
    if path.is_file():
        yield write_sample(target, "sotu_qa", _csv(path, "question", "answer"))


def _gsm8k(source: Path, target: Path) -> Iterable[Path]:
    path = source / "grade_school_math/data/train.jsonl"
    if path.is_file():
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        yield write_sample(
            target,
            "gsm8k",
            [
                {
                    "question": row["question"],
                    "answer": row["answer"].split("#### ")[1],
                    "raw_answer": row["answer"],
                }
                for row in rows
            ],
        )


def _hotpot(source: Path, target: Path) -> Iterable[Path]:
    path = source / "hotpot_train_v1.1.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else _parquet(source / "hotpot_qa")
    if found:
        rows = [{"question": row["question"], "answer": row["answer"]} for row in found]
        yield write_sample(target, "hotpot_qa", rows)


def _trivia(source: Path, target: Path) -> Iterable[Path]:
    if found := _parquet(source / "trivia_qa"):
        rows = [
            {
                "question": row["question"],
                "answer": row["answer"]["value"],
                "aliases": [str(alias) for alias in row["answer"]["aliases"]],
            }
            for row in found
        ]
        yield write_sample(target, "trivia_qa", rows)


def _csv(path: Path, question: str, answer: str) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return [{"question": row[question], "answer": row[answer]} for row in csv.DictReader(lines)]


def _parquet(folder: Path) -> list[Mapping[str, Any]]:
    """Rows of all parts in the order of their names."""
    parts = sorted(folder.glob("*.parquet"))
    if not parts:
        return []
    import pandas as pd

    rows: list[Mapping[str, Any]] = []
    for part in parts:
        frame = pd.read_parquet(part, columns=["question", "answer"])
        rows += [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]
    return rows


def _prompts(tuning: Path, chain: Path) -> dict[str, str]:
    """Read all literals, in the mirror's order."""
    texts: dict[str, str] = {}
    at = tuning / _REWOO
    for path, names in _CONSTANTS.items():
        for name, text in extract_literals(at / path, names).items():
            texts[f"AgentTuning:{_REWOO}/{path}:{name}"] = text
    worker = at / "nodes/Worker.py"
    prefix = f"AgentTuning:{_REWOO}/nodes"
    template, zip_code, first, second = (
        "LLMWorker.run#2",
        "ZipCodeRetriever.description",
        "SearchDocWorker.__init__#1",
        "SearchDocWorker.__init__#2",
    )
    found = extract_literals(worker, (template, zip_code, first, second))
    texts[f"{prefix}/Worker.py:LLMWorker.template"] = found[template]
    texts[f"{prefix}/Worker.py:{zip_code}"] = found[zip_code]
    texts[f"{prefix}/Worker.py:SearchDocWorker.description"] = f"{found[first]}{{doc_name}}{found[second]}"
    header = "Planner._generate_worker_prompt#0"
    texts[f"{prefix}/Planner.py:tools_header"] = extract_literals(at / "nodes/Planner.py", (header,))[header]
    for path, name in (
        (_GRADER, "template"),
        ("chains/llm_math/prompt.py", "_PROMPT_TEMPLATE"),
    ):
        texts[f"langchain==0.0.187:{path}:{name}"] = extract_literals(chain / "langchain" / path, (name,))[
            name
        ]
    return texts
