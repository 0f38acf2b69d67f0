"""A TGI-shaped server for chaos tests: slow, right on about half of GSM8K's fixture, always the same way.

`python slow_server.py DELAY_S QUESTIONS [PORT]` prints its port and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from pathlib import Path

from aiohttp import web

INFO = {
    "model_id": "THUDM/agentlm-7b",
    "model_sha": "0",
    "version": "3.3.5",
    "max_concurrent_requests": 512,
    "max_input_tokens": 8192,
    "max_total_tokens": 16384,
}


def gold_answers(questions: Path) -> dict[str, str]:
    rows = [json.loads(line) for line in questions.read_text(encoding="utf-8").splitlines()]
    return {row["question"]: row["answer"].rpartition("#### ")[2] for row in rows}


async def serve(delay_s: float, gold: dict[str, str], port: int = 0) -> None:

    async def generate(request: web.Request) -> web.Response:
        prompt = (await request.json())["inputs"]
        await asyncio.sleep(delay_s)
        asked = next((question for question in gold if f"Question: {question}" in prompt[-2000:]), "")
        number = gold.get(asked) if hashlib.sha256(asked.encode()).digest()[0] % 2 else "wrong"
        details = {
            "finish_reason": "eos_token",
            "generated_tokens": 5,
            "seed": None,
            "prefill": [],
            "tokens": [],
        }
        return web.json_response({"generated_text": f"The answer is {number}.", "details": details})

    async def info(_: web.Request) -> web.Response:
        return web.json_response(INFO)

    app = web.Application()
    app.router.add_post("/generate", generate)
    app.router.add_get("/info", info)
    app.router.add_get("/health", info)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    print(runner.addresses[0][1], flush=True)  # noqa: T201 - the port is this program's output
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), gold_answers(Path(sys.argv[2])), *map(int, sys.argv[3:])))
