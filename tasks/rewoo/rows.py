"""Reads the seven data sets of fifty questions; two of them cannot be shipped and may be absent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.authoring import jsonl
from harness.types import Sample

FOLDER = "samples"


@dataclass(frozen=True, slots=True)
class Dataset:
    """One data set: its tools in the order of the prompt, and the exemplar of its plans."""

    tools: tuple[str, ...]
    exemplar: str
    optional: bool = False


_FIVE = ("Wikipedia", "LLM", "WolframAlpha", "Calculator", "Google")
DATASETS: Mapping[str, Dataset] = {
    "hotpot_qa": Dataset(("Wikipedia", "LLM"), "HOTPOTQA_PWS_BASE", optional=True),
    "trivia_qa": Dataset(("Wikipedia", "LLM"), "TRIVIAQA_PWS", optional=True),
    "gsm8k": Dataset(("LLM", "WolframAlpha", "Calculator"), "GSM8K_PWS"),
    "strategy_qa": Dataset(_FIVE, "GSM8K_PWS"),
    "physics_question": Dataset(_FIVE, "GSM8K_PWS"),
    "sports_understanding": Dataset(_FIVE, "GSM8K_PWS"),
    "sotu_qa": Dataset(("LLM", "Calculator", "Google", "SearchSOTU"), "GSM8K_PWS"),
}


def samples(data: Path) -> list[Sample]:
    """All questions that are there, data set by data set; ids are `<dataset>/<row>`.

    Raises:
        MissingPart: a data set that can be shipped is not there.
    """
    return [
        Sample(
            f"{name}/{number:02d}",
            {
                "dataset": name,
                "question": row["question"],
                "answer": row["answer"],
                "aliases": tuple(row.get("aliases", ())),
            },
            {"dataset": name},
        )
        for name in DATASETS
        for number, row in enumerate(_rows(data, name))
    ]


def label(data: Path) -> str:
    """The name of the run: `rewoo`, or `rewoo-5of7` while two data sets are missing."""
    present = sum((data / FOLDER / f"{name}.jsonl").is_file() for name in DATASETS)
    return "rewoo" if present == len(DATASETS) else f"rewoo-{present}of{len(DATASETS)}"


def _rows(data: Path, name: str) -> Iterator[Mapping[str, Any]]:
    path = data / FOLDER / f"{name}.jsonl"
    if DATASETS[name].optional and not path.is_file():
        return iter(())
    return jsonl(path, fix="harness data prepare rewoo, or --mirror DIR")
