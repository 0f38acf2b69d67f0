"""A server that echoes the key and steers terminals: neither reaches the store, the log or a table."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import unicodedata
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from command import harness

sys.path.insert(0, str(Path(__file__).parent.parent / "core" / "models"))

from fault_server import INFO, Behaviour, FaultServer

from harness.storage.store import Store

SECRET = "sk-Planted+Key/0123456789=="
TITLE = "\x1b]0;title\x07\x9b31m\u202e"
MODELS = """
[mine]
template = "agentlm"
kind = "KIND"
api_key_env = "MY_KEY"
"""


def behaviours(kind: str) -> list[Behaviour]:
    """Answers and refusals that hold the key; one of two is an answer."""
    said = json.dumps(f"The answer is {SECRET} {TITLE} 5.")
    answer = {
        "tgi": f'{{"generated_text": {said}, "details": {{"finish_reason": {said}}}}}',
        "openai": f'{{"choices": [{{"text": {said}, "finish_reason": {said}}}]}}',
    }[kind]
    headers = (("X-Echo", SECRET), ("Location", f"http://x/?key={SECRET}"))
    refusals = [
        Behaviour(
            status, json.dumps({"error": f"{SECRET} {TITLE}", "error_type": SECRET}).encode(), headers=headers
        )
        for status in (302, 401, 429, 500)
    ]
    good = Behaviour(body=answer.encode(), headers=headers)
    return [one for bad in refusals for one in (good, bad)]


class Echo(FaultServer):
    async def behave(self, how: Any, seen: Any, reader: Any, writer: Any) -> bool:
        assert seen.headers["authorization"] == f"Bearer {SECRET}"
        tried = seen.headers["x-harness-task"] == "doctor"  # the trial before a run ends with a refusal
        turn = self.behaviours[0 if tried else len(self.seen) % len(self.behaviours)]
        return await super().behave(turn, seen, reader, writer)


def texts(path: Path) -> list[str]:
    """Everything the store says: every column as text, and every call with its prompt put together."""
    with closing(Store(path, readonly=True)) as store:
        found = [repr(attempt) for attempt in store.attempts()]
        found += [repr(call) for attempt in store.attempts() for call in store.calls(attempt.id)]
        tables = [name for name in store.tables if name not in ("episode", "turn")]
    with closing(sqlite3.connect(path)) as db:
        found += [repr(row) for name in tables for row in db.execute(f"SELECT * FROM {name}")]
    return found


def steers(text: str) -> set[str]:
    return {c for c in text if not (c.isprintable() or c in "\n\t" or unicodedata.category(c) == "Zs")}


@pytest.mark.parametrize("kind", ["tgi", "openai"])
async def test_neither_a_key_nor_an_escape_gets_through(tmp_path: Path, kind: str):
    info = {**INFO, "model_id": f"mine {SECRET} {TITLE}", "version": f"3.3.6 {TITLE}", SECRET: TITLE}
    (tmp_path / "models.toml").write_text(MODELS.replace("KIND", kind))
    name = "results/runs/a\x1b[31mb"
    server = Echo(info=info, models={"data": [{"id": f"{SECRET} {TITLE}"}]})
    server.behaviours = behaviours(kind)  # type: ignore[attr-defined]
    variables = {"HARNESS_MODELS": "models.toml", "MY_KEY": SECRET}
    async with server:
        words = (
            "-v",
            "run",
            "--model",
            "mine",
            "--endpoint",
            server.url,
            "--task",
            "gsm8k",
            "--mirror",
            "fixture",
        )
        run = (*words, "--out", name, "--request-deadline", "5")
        played = await asyncio.to_thread(harness, tmp_path, *run, **variables)
        doctor = ("doctor", "--model", "mine", "--endpoint", server.url)
        asked = await asyncio.to_thread(harness, tmp_path, *doctor, **variables)
    assert played.returncode in (0, 3) and len(server.seen) >= 16, played.stderr
    shown = [
        harness(tmp_path, "list", "runs"),
        harness(tmp_path, "report"),
        harness(tmp_path, "report", "--episodes"),
    ]
    shown += [
        harness(tmp_path, "export", "--format", "store", name, "c\x1b[31m"),
        harness(tmp_path, "report", "x\x1b[1m"),
    ]
    for done in (played, asked, *shown):
        said = done.stdout + done.stderr
        assert "sk-Planted" not in said and "Traceback" not in said and "unexpected" not in said
        assert not steers(said), said
        assert said.strip()
    stored = texts(tmp_path / name / "run.sqlite")
    assert any("[API key]" in text for text in stored), "the server's texts are in the store"
    assert not [text for text in stored if "sk-Planted" in text]
    assert SECRET.encode() not in (tmp_path / name / "run.sqlite").read_bytes()
    assert (tmp_path / "c\x1b[31m").is_file()
