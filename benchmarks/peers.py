"""Whole processes: ours, inspect_ai and lm-eval ask the same chat server the same questions.

1,328 questions (GSM8K's fixture, repeated), one turn each, 128 in flight, answered after 50 ms; each tool
reads a number from every answer, scores it and stores the transcript. The other two are installed into an
environment of their own under .cache, where pip can have them; they get the texts that ours sent, as one
message each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from urllib.request import urlopen

from support.running import compiled, fixed_latency_server, timed

from harness.storage.store import Store

HERE = Path(__file__).parent
PLACE = HERE.parent / ".cache" / "peers"
PACKAGES = ("inspect_ai==0.3.285", "openai==3.57.0", "lm_eval[api]==0.4.13")
IN_FLIGHT, DELAY_S, ROUNDS = 128, 0.05, 3
INSTALL_S = 900

INSPECT_TASK = """
from inspect_ai import Task, task
from inspect_ai.dataset import json_dataset
from inspect_ai.scorer import match
from inspect_ai.solver import generate


@task
def questions():
    return Task(dataset=json_dataset({path!r}), solver=generate(), scorer=match(numeric=True))
"""

LM_EVAL_TASK = """
task: questions
dataset_path: json
dataset_kwargs: {{data_files: {{test: {path}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{input}}}}"
doc_to_target: "{{{{target}}}}"
generation_kwargs: {{until: ["</s>"], do_sample: false, max_gen_toks: 512}}
filter_list:
  - name: number
    filter:
      - {{function: regex, regex_pattern: "(-?[0-9]+)"}}
      - {{function: take_first}}
metric_list:
  - {{metric: exact_match, aggregation: mean, higher_is_better: true}}
"""


def installed() -> Path | None:
    """The `bin` folder of the other tools' environment; None where they cannot be had."""
    done = PLACE / "installed"
    wanted = "\n".join(PACKAGES)
    if not done.is_file() or done.read_text() != wanted:
        PLACE.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", str(PLACE)], check=True, timeout=INSTALL_S)
        pip = [
            str(PLACE / "bin" / "python"),
            "-m",
            "pip",
            "--quiet",
            "--disable-pip-version-check",
            "install",
        ]
        if subprocess.run([*pip, *PACKAGES], check=False, timeout=INSTALL_S).returncode:
            return None
        done.write_text(wanted)
    return PLACE / "bin"


def ours(url: str, run: Path) -> list[str]:
    """The command that plays the questions into a new run directory."""
    options = ["--model", "mine@chat", "--endpoint", f"{url}/v1", "--task", "gsm8k", "--mirror", "fixture"]
    options += ["--repeats", "83", "--concurrency", str(IN_FLIGHT), "--out", str(run)]
    return [sys.executable, "-m", "harness", "run", *options]


def write_questions(run: Path, target: Path) -> int:
    """Write what a run sent as JSON lines of input and target; how many they are."""
    store = Store(run / "run.sqlite", readonly=True)
    try:
        asked = [(call.prompt, row.target) for row in store.attempts() for call in store.calls(row.id)]
    finally:
        store.close()
    lines = [json.dumps({"input": text, "target": gold or "7"}) for text, gold in asked]
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines)


def inspect_command(tools: Path, url: str, folder: Path, questions: Path) -> list[str]:
    """inspect_ai's command, with its task written beside the questions; it must be started in `folder`."""
    task = folder / "questions.py"
    task.write_text(INSPECT_TASK.format(path=str(questions)), encoding="utf-8")
    options = ["--model", "openai-api/bench/mine", "--model-base-url", f"{url}/v1", "--display", "none"]
    options += ["--max-connections", str(IN_FLIGHT), "--max-tokens", "512", "--temperature", "0"]
    return [str(tools / "inspect"), "eval", task.name, *options, "--log-dir", str(folder / "inspect")]


def lm_eval_command(tools: Path, url: str, folder: Path, questions: Path) -> list[str]:
    """lm-eval's command, with its task written beside the questions."""
    (folder / "lm").mkdir(exist_ok=True)
    task = folder / "lm" / "questions.yaml"
    task.write_text(LM_EVAL_TASK.format(path=str(questions)), encoding="utf-8")
    model = f"model=mine,base_url={url}/v1/chat/completions,num_concurrent={IN_FLIGHT},eos_string=</s>"
    options = ["--model", "local-chat-completions", "--model_args", model, "--apply_chat_template"]
    options += [
        "--log_samples",
        "--output_path",
        str(folder / "lm_out"),
        "--include_path",
        str(folder / "lm"),
    ]
    return [str(tools / "lm_eval"), "run", "--tasks", "questions", *options]


def asked(url: str) -> int:
    """How many questions the server was asked so far."""
    with urlopen(f"{url}/asked") as answer:
        return int(answer.read())


def compared(tools: Path, url: str, folder: Path) -> dict[str, list[tuple[float, float]]]:
    """Wall and CPU seconds of each tool's runs; every one must have asked every question."""
    keys = ("BENCH_API_KEY", "OPENAI_API_KEY")
    environment = compiled(folder / "compiled") | dict.fromkeys(keys, "none")
    environment |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    questions = folder / "questions.jsonl"
    timed(ours(url, folder / "first"), environment)
    count = write_questions(folder / "first", questions)
    cost: dict[str, list[tuple[float, float]]] = {}
    for n in range(1 + ROUNDS):  # the first compiles their modules, and is not counted
        commands = {
            "ours": ours(url, folder / str(n)),
            "inspect_ai": inspect_command(tools, url, folder, questions),
            "lm-eval": lm_eval_command(tools, url, folder, questions),
        }
        for tool, command in commands.items():
            before = asked(url)
            cost.setdefault(tool, []).append(timed(command, environment, folder))
            assert asked(url) - before >= count, f"{tool} asked {asked(url) - before} of {count} questions"
    return {tool: figures[1:] for tool, figures in cost.items()}


def main() -> int:
    tools = installed()
    if tools is None:
        print(f"pip cannot have {', '.join(PACKAGES)} here, so nothing was measured")
        return 0
    with fixed_latency_server(DELAY_S) as url, tempfile.TemporaryDirectory() as name:
        cost = compared(tools, url, Path(name))
    print(f"1,328 questions, {IN_FLIGHT} in flight, medians of {ROUNDS}, load {os.getloadavg()[0]:.1f}")
    mine = [median(values) for values in zip(*cost["ours"], strict=True)]
    for tool, figures in cost.items():
        wall, cpu = (median(values) for values in zip(*figures, strict=True))
        ratios = wall / mine[0], cpu / mine[1]
        print(f"{tool:<11} wall {wall:6.2f} s = {ratios[0]:4.1f} x, cpu {cpu:6.2f} s = {ratios[1]:4.1f} x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
