"""A run of a private task leaves no text of its data anywhere, unless it is asked to trace them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from aiohttp import web
from command import harness
from loopback_server import serving
from stored_texts import texts_of

from harness.data import task_folder
from harness.storage.store import Store
from tasks.mind2web import rows

RUN = ("run", "--task", "mind2web", "--mirror", "fixture", "--out", "mine")
ORACLE = ("--model", "oracle")


def words_of_the_data() -> Iterator[str]:
    """Every text of more than a word in the fixture's pages, tasks, actions and values."""
    path = rows.split_file(task_folder("mind2web") / "fixture", "std")
    for step in rows.read(path):
        texts = [step.task, *step.previous, *re.findall(r">([^<>]+)<", rows.page(path, step.n))]
        if step.op != "CLICK":
            texts += [step.value, step.value.split("\n")[0], f"Value: {step.value[:5]}"]
        yield from (text.strip() for text in texts if " " in text.strip())


DATA = sorted(set(words_of_the_data()))
PROMPT = ("Previous actions", "Answer: ", "Sign the petition")


def found(*texts: bytes) -> list[str]:
    return [word for word in (*DATA, *PROMPT) if any(word.encode() in text for text in texts)]


def read(folder: Path, *words: str) -> bytes:
    """What a command says."""
    done = harness(folder, *words)
    assert done.returncode == 0, done.stderr
    return (done.stdout + done.stderr).encode()


def test_a_run_keeps_no_text(tmp_path: Path):
    assert len(DATA) > 50
    log = read(tmp_path, *RUN, *ORACLE)
    assert b"72.73" in log
    page = read(tmp_path, "report", "mine", "--format", "html", "--episodes")
    assert b"step_sr" in page and b"aaaa-0/0a" in page
    copied = read(tmp_path, "export", "mine", "copy.sqlite", "--format", "store")
    kept = [text for path in tmp_path.rglob("*") if path.is_file() for text in texts_of(path)]
    assert found(log, page, copied, *kept) == []
    assert b"answers A B; element 101 of 101" in b"".join(kept), "letters and node ids stay"


def test_a_traced_run_keeps_all_and_says_so(tmp_path: Path):
    log = read(tmp_path, *RUN, *ORACLE, "--trace-private", "--no-report")
    assert b"mind2web: the run will hold texts that are not to be published" in log
    assert len(found(*texts_of(tmp_path / "mine/run.sqlite"))) > 50


async def test_a_server_that_repeats_the_prompt_adds_nothing(tmp_path: Path):
    async def refuse(request: web.Request) -> web.Response:
        prompt = (await request.json())["inputs"]
        if request.headers["X-Harness-Task"] != "mind2web":  # what a run tries each endpoint with
            return web.json_response({"generated_text": "Hello."})
        status = 413 if "cccc" in request.headers["X-Harness-Sample"] else 422
        return web.json_response({"error": prompt[-300:], "error_type": "validation"}, status=status)

    async def info(_: web.Request) -> web.Response:
        return web.json_response(
            {"model_id": "THUDM/agentlm-7b", "version": "3.3.5", "max_input_tokens": 8192}
        )

    app = web.Application(client_max_size=1 << 24)
    app.router.add_post("/generate", refuse)
    app.router.add_get("/info", info)
    async with serving(app) as url:
        words = (*RUN, "--model", "agentlm-7b", "--endpoint", url, "--no-report")
        done = await asyncio.to_thread(harness, tmp_path, *words)
    assert done.returncode == 3, done.stderr
    assert found((done.stdout + done.stderr).encode(), *texts_of(tmp_path / "mine/run.sqlite")) == []
    assert "Refused: sha256:" in done.stderr and "--trace-private" in done.stderr
    with closing(Store(tmp_path / "mine/run.sqlite", readonly=True)) as store:
        notes = {attempt.item.sample: attempt.note for attempt in store.attempts(final_only=True)}
    assert all(notes[name].startswith("context: sha256:") for name in ("cccc-2/2a", "cccc-2/2b"))
