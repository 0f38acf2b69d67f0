"""Lays out, from the mirror, what a user has: checkouts and downloads in one folder.

The mirror keeps upstream's files as they are, but of its programs only the texts. Programs are written anew
around the texts, so that each text stands where the real program has it.
"""

from __future__ import annotations

import json
import re
import tarfile
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.data import literals
from tasks.hotpotqa.prepare import RELEASES
from tasks.miniwob import prepare as miniwob

TEXTS = (
    "cardgame",
    "gsm8k",
    "mmlu",
    "mt_bench",
    "alfworld",
    "os",
    "dbbench",
    "knowledgegraph",
    "webshop",
    "mind2web",
)


def lay_out(mirror: Path, top: Path) -> Path:
    """Make the eight checkouts, and the downloads beside them."""
    tuning = top / "AgentTuning"
    for task in TEXTS:
        write_programs(tuning, literals(mirror / task / "prompts.json"))
    _data_files(mirror, top)
    _miniwob(mirror, tuning)
    write_sciworld(mirror, tuning)
    write_rewoo(top, literals(mirror / "rewoo/prompts.json"))
    write_hotpotqa(mirror / "hotpotqa", top)
    _webarena(mirror / "webarena", top)
    _webshop_small(mirror / "webshop", top / "webshop-data")
    for name, text in json.loads((mirror / "os/scripts.json").read_text()).items():
        _write(tuning / "AgentBench.old/data/os_interaction" / name, text)
    _write(
        top / "human-eval/data/HumanEval.jsonl.gz",
        (mirror / "humaneval/data/HumanEval.jsonl.gz").read_bytes(),
    )
    _write(top / "cl100k_base.tiktoken", (mirror / "webarena/cl100k_base.tiktoken").read_bytes())
    with tarfile.open(top / "data.tar", "w") as archive:
        archive.add(mirror / "mmlu/data", "data")
    games = mirror / "alfworld/games_2.1.3"
    with zipfile.ZipFile(top / "json_2.1.3_tw-pddl.zip", "w") as archive:
        for path in sorted(games.rglob("game.tw-pddl")):
            archive.write(path, path.relative_to(games).as_posix())
    return top


def _data_files(mirror: Path, top: Path) -> None:
    """Files that the mirror has as upstream published them."""
    for task in ("cardgame", "mind2web"):
        _copy_tree(mirror / task / "AgentBench.old", top / "AgentTuning/AgentBench.old")
    for task in ("alfworld", "dbbench", "os", "knowledgegraph"):
        for repository in ("AgentTuning", "AgentBench"):
            _copy_tree(mirror / task / repository, top / repository)
    _copy_tree(mirror / "mt_bench/fastchat", top / "FastChat/fastchat")
    _copy_tree(mirror / "gsm8k/grade_school_math", top / "grade-school-math/grade_school_math")
    _copy_tree(mirror / "rewoo/data", top / "ReWOO/data")


def _webarena(mirror: Path, top: Path) -> None:
    """Both repositories' task files, and programs with the literals of each."""
    texts = literals(mirror / "prompts.json")
    for repository in ("AgentTuning", "webarena"):
        _copy_tree(mirror / repository, top / repository)
        own = {key: value for key, value in texts.items() if key.partition(":")[0].endswith(f"/{repository}")}
        write_programs(top / repository, own)


def _webshop_small(mirror: Path, top: Path) -> None:
    """The three files of the small catalogue, under the names that WebShop gives them."""
    files = [*(mirror / "reconstructed/data").glob("items_*.json"), *mirror.rglob("items_ins_v2_1000.json")]
    for file in files:
        _write(top / file.name.replace("human_ins_1k_subset", "human_ins"), file.read_bytes())


def _copy_tree(source: Path, target: Path) -> None:
    for path in source.rglob("*"):
        if path.is_file():
            _write(target / path.relative_to(source), path.read_bytes())


def _write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def write_programs(top: Path, texts: Mapping[str, Any]) -> None:
    """Write programs that hold texts at their addresses, between strings that nobody asks for."""
    scopes: dict[str, dict[str, dict[int, Any]]] = defaultdict(lambda: defaultdict(dict))
    constants: dict[str, list[str]] = defaultdict(list)
    for key, value in texts.items():
        path, name = key.split(":")[1:]
        if numbered := re.fullmatch(r"(.+)#(\d+)", name):
            scopes[path][numbered[1]][int(numbered[2])] = value
        else:
            constants[path].append(f"{name} = {value!r}")
    for path in {*scopes, *constants}:
        classes: dict[str, list[str]] = defaultdict(list)
        lines = constants[path]
        for name, numbered_texts in scopes[path].items():
            *outer, last = name.split(".")
            body = [f"x = {numbered_texts.get(n, 'no')!r}" for n in range(max(numbered_texts) + 1)]
            for inner in (last, *reversed(outer[1:])):
                body = [f"def {inner}(self):", *(f" {line}" for line in body)]
            (classes[outer[0]] if outer else lines).extend(body)
        for name, body in classes.items():
            lines += [f"class {name}:", *(f" {line}" for line in body)]
        _write(top / path, "\n".join(lines) + "\n")


def write_rewoo(top: Path, texts: Mapping[str, Any]) -> None:
    """Lay out AgentTuning's ReWOO and langchain, with the literals in the places they are read from."""
    programs: dict[str, list[str]] = {}
    for address, text in texts.items():
        root, path, name = address.split(":")
        path = f"AgentTuning/{path}" if root == "AgentTuning" else f"langchain/langchain/{path}"
        body = programs.setdefault(path, [])
        if name == "tools_header":
            body.append(f"class Planner:\n def _generate_worker_prompt(self):\n  prompt = {text!r}\n")
        elif name == "LLMWorker.template":
            body.append(f" def run(self, x, model={{'a', 'b'}}):\n  return x(t={text!r}, n=['request'])\n")
        elif name == "SearchDocWorker.description":
            parts = " \\\n    ".join("f" + repr(piece) for piece in re.split(r"(?<=\. )", text))
            head = "class SearchDocWorker:\n def __init__(self, doc_name, name='S'):\n"
            body.append(f"{head}  self.description = {parts}\n")
        elif "." in name:
            owner, attribute = name.split(".")
            body.append(f"class {owner}:\n def __init__(self):\n  self.{attribute} = {text!r}\n")
        else:
            body.append(f"{name} = {text!r}\n")
    for path, body in programs.items():
        _write(top / path, "".join(body))


def write_hotpotqa(data: Path, top: Path) -> None:
    """Write HotpotQA's releases with the 300 questions that are used, and the checkouts with its prompts."""
    releases: dict[str, list[dict[str, Any]]] = {name: [] for name in RELEASES.values()}
    for level, name in RELEASES.items():
        for line in (data / f"{level}.jsonl").read_text().splitlines():
            row = json.loads(line)
            kept = ("type", "level", "question", "answer", "supporting_facts", "context")
            releases[name].insert(0, {"_id": row["id"], **{key: row[key] for key in kept}})
    for name, entries in releases.items():
        _write(top / name, json.dumps(entries))
    by_repository: dict[str, dict[str, Any]] = defaultdict(dict)
    for address, text in literals(data / "prompts.json").items():
        by_repository[address.partition(":")[0]][address] = text
    for repository, texts in by_repository.items():
        write_programs(top / repository, texts)


def write_sciworld(mirror: Path, tuning: Path) -> None:
    """Write AgentTuning's SciWorld programs and exemplars."""
    constants = json.loads((mirror / "sciworld/constants.json").read_text(encoding="utf-8"))
    scripts = tuning / "eval_heldout/science-world"
    texts = [text for text in constants.values() if isinstance(text, str)]
    lines = [f"x = {' ' + texts[0] + chr(10)!r}.strip()", *(f"def eval():\n    y = {t!r}" for t in texts[1:])]
    _write(scripts / "eval.py", "\n".join(lines))
    rooms = constants["science-world/eval_utils.py:rooms"]
    _write(scripts / "eval_utils.py", f"import nowhere\nrooms = {rooms!r}\n")
    _write(scripts / "prompts/prompt.json", (mirror / "sciworld/prompts/prompt.json").read_bytes())


def _miniwob(mirror: Path, tuning: Path) -> None:
    top, folder = "eval_heldout/miniwob++", mirror / "miniwob"
    _copy_tree(folder / "prompt", tuning / top / "prompt")
    _write(tuning / top / "available_tasks.txt", (folder / "available_tasks.txt").read_bytes())
    constants = json.loads((folder / "constants.json").read_text())
    _write(tuning / top / "prompt.py", "class Prompt:\n" + _attributes(constants))
    numbered: dict[str, Any] = {}
    for key, address in miniwob.TEXTS.items():
        numbered[f"x:{top}/llm_agent.py:{address}"] = constants[f"miniwob++/llm_agent.py:{key}"]
    for method, places in miniwob.LISTS.items():
        listed = constants[f"miniwob++/llm_agent.py:LLMAgent.{method}#literals_in_order"]
        for place, text in zip(places, listed, strict=True):
            numbered[f"x:{top}/llm_agent.py:LLMAgent.{method}#{place}"] = text
    write_programs(tuning, numbered)
    program = tuning / top / "llm_agent.py"
    program.write_text(
        f"BIG_PROMPT = {constants['miniwob++/llm_agent.py:BIG_PROMPT']!r}.strip()\n" + program.read_text()
    )


def _attributes(constants: Mapping[str, Any]) -> str:
    found: Iterable[tuple[str, Any]] = (
        (key.rpartition("Prompt.")[2], value) for key, value in constants.items() if "Prompt." in key
    )
    return " def __init__(self):\n" + "".join(f"  self.{name} = {value!r}\n" for name, value in found)
