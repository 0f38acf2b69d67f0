"""Writes the episodes of one task as a log of Inspect AI (its JSON form, version 2)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from harness.errors import UsageError
from harness.export.conversations import Part, told
from harness.export.episodes import Choice, Episode, Run
from harness.export.rows import source_of
from harness.models.outside import paired

STOPS: Mapping[str, str] = {"length": "max_tokens", "eos_token": "stop", "stop_sequence": "stop"}


def pieces(run: Run, choice: Choice) -> Iterator[str]:
    """The log piece by piece: what comes before its samples, each sample, what comes after.

    Raises:
        UsageError: the episodes are of more than one task; a log has one.
    """
    names = choice.tasks or run.tasks
    if len(names) != 1:
        raise UsageError(f"a log of Inspect holds one task: give --task, one of {', '.join(names)}")
    (task,) = names
    head = json.dumps({"version": 2, "status": "success", "eval": _eval(run, task)})
    yield head[:-1] + ', "samples": ['
    for number, episode in enumerate(run.episodes(choice)):
        run.tally.rows += 1
        yield (",\n" if number else "\n") + json.dumps(_sample(run, episode))
    yield "\n]}\n"


def _eval(run: Run, task: str) -> dict[str, Any]:
    facts, config = run.specs.get(task, {}), run.config
    commands = run.store.commands()
    began = float(commands[0].get("when") or 0.0) if commands else 0.0
    return {
        "eval_id": run.name,
        "run_id": run.name,
        "created": datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds"),
        "task": task,
        "task_id": task,
        "task_version": config["tasks"][task]["version"],
        "dataset": {"name": task, "samples": config["tasks"][task].get("count", 0)},
        "model": str(config["model"]),
        "config": {"epochs": config.get("repeats", 1)},
        "metadata": {"metric": facts.get("metric", ""), "profile": config.get("profile", "")},
    }


def _sample(run: Run, episode: Episode) -> dict[str, Any]:
    attempt, model = episode.attempt, str(run.config["model"])
    source = source_of(run, episode)
    messages = [] if episode.private else [_message(part, model) for part in told(episode.calls)]
    last = messages[-1] if messages else {"role": "assistant", "content": ""}
    first = next((at for at, message in enumerate(messages) if message["role"] == "assistant"), 0)
    finish = str(episode.calls[-1].facts.get("finish_reason", "")) if episode.calls else ""
    scores: dict[str, Any] = {}
    if episode.reward is not None:
        name = str(run.specs.get(attempt.item.task, {}).get("metric") or "value")
        scores[name] = {
            "value": episode.reward,
            "answer": source["answer"],
            "explanation": source["note"],
            "metadata": dict(attempt.metrics),
        }
    return {
        "id": attempt.item.sample,
        "epoch": attempt.item.repeat + 1,
        "input": messages[:first],
        "target": source["target"],
        "messages": messages,
        "output": {
            "model": model,
            "choices": [{"message": last, "stop_reason": STOPS.get(finish, "unknown")}],
            "usage": {
                "input_tokens": attempt.prompt_tokens,
                "output_tokens": attempt.output_tokens,
                "total_tokens": attempt.prompt_tokens + attempt.output_tokens,
            },
        },
        "scores": scores,
        "metadata": source,
        "total_time": attempt.seconds,
    }


def _message(part: Part, model: str) -> dict[str, Any]:
    """One message; Inspect's tool messages need the id of a call, so a function's result is a user's."""
    role, text = "user" if part.role == "function" else part.role, paired(part.content)
    if role != "assistant":
        return {"role": role, "content": text}
    thought = [{"type": "reasoning", "reasoning": paired(part.thought)}] if part.thought else []
    content = [*thought, {"type": "text", "text": text}] if thought else text
    return {"role": role, "content": content, "source": "generate", "model": model}
