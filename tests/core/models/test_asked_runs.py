"""Commands against servers that add to a request, or ignore it: what is refused and what the report says.

The servers are those of server_kinds.py, which says what they are made after.
"""

import asyncio
import json
import sys
from pathlib import Path

import pytest
from fault_server import Behaviour
from server_kinds import LlamaCppLike, ServerLike, VllmLike

pytestmark = pytest.mark.slow  # commands, each of which starts an interpreter
HARNESS = str(Path(sys.executable).with_name("harness"))


async def harness(*arguments):
    process = await asyncio.create_subprocess_exec(
        HARNESS, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), 240)
    except TimeoutError:
        process.kill()
        raise
    return process.returncode, said.decode()


async def play(folder, server, task, *more):
    return await harness(
        "run", "--model", "agentlm-7b@openai", "--endpoint", server.url, "--task", task,
        "--mirror", "fixture", "--limit", "2", "--out", str(folder), *more,
    )  # fmt: skip


async def head(folder):
    code, said = await harness("report", str(folder), "--format", "json")
    assert code in (0, 3), said
    return json.loads(said[said.index("{") :])["head"]


class OneText(ServerLike):
    """Ignores the temperature, as `transformers serve` was measured to do."""

    def temperature(self, data):
        return 0.0


async def test_a_task_that_draws_is_refused_and_a_greedy_one_says_it_in_the_head(tmp_path):
    async with OneText() as server:
        code, said = await play(tmp_path / "mt", server, "mt_bench")
        assert code == 2 and "ignores the temperature" in said and "--decoding greedy" in said, said
        assert not (tmp_path / "mt" / "run.sqlite").exists()
        code, said = await play(tmp_path / "gsm", server, "gsm8k")
        assert code == 0, said
    told = await head(tmp_path / "gsm")
    assert told["ignored"].startswith("temperature (three seeds give one text")
    assert "its own top_k, top_p, min_p and penalties stand" in told["understood"]


async def test_the_head_says_what_the_server_makes_of_a_request(tmp_path):
    async with LlamaCppLike() as server:
        code, said = await play(tmp_path / "run", server, "gsm8k")
        assert code == 0, said
    told = await head(tmp_path / "run")
    assert told["understood"].startswith("llama.cpp: ") and "ignored" not in told
    assert "top_k 0, top_p 1.0, typical_p 1.0" in told["understood"]


async def test_choices_are_ranked_as_the_command_says(tmp_path):
    async with VllmLike() as server:
        code, said = await play(tmp_path / "p", server, "mmlu", "--choices", "P", "--profile", "fixed")
        assert code == 0 and "method P" in said, said
        code, said = await play(tmp_path / "g", server, "mmlu", "--choices", "G")
        assert code == 2 and "--choices O, P, F" in said, said


async def test_alternatives_that_name_no_letter_stop_the_run_before_it_begins(tmp_path):
    place = {"token": "token_id:315", "top_logprobs": [{"token": "token_id:315", "logprob": -0.1}]}
    body = {"choices": [{"text": "x", "logprobs": {"content": [place]}, "finish_reason": "length"}]}
    async with ServerLike(default=Behaviour(body=json.dumps(body).encode())) as server:
        code, said = await play(tmp_path / "run", server, "mmlu")
        assert code == 2 and "names none of" in said and server.url in said, said
