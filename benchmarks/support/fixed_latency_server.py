"""A TGI-shaped server that answers everything after the same delay: `fixed_latency_server.py 0.05 [TEXT]`.

Prints its port on the first line and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web

DETAILS = {"finish_reason": "eos_token", "generated_tokens": 5, "seed": None, "prefill": [], "tokens": []}
TEXT = "The answer is 7."
LETTERS = [{"id": n, "text": f" {c}", "logprob": -1.0 - n, "special": False} for n, c in enumerate("ABCD")]
CHOSEN = {"generated_text": " A", "details": DETAILS | {"generated_tokens": 1, "top_tokens": [LETTERS]}}
INFO = {
    "model_id": "THUDM/agentlm-7b",
    "model_sha": "0",
    "version": "3.3.5",
    "max_concurrent_requests": 4096,
    "max_input_tokens": 8192,
    "max_total_tokens": 16384,
    "max_stop_sequences": 4,
}


async def serve(delay_s: float, text: str = TEXT) -> None:
    said = {"generated_text": text, "details": DETAILS}

    async def generate(request: web.Request) -> web.Response:
        answer = CHOSEN if b'"grammar"' in await request.read() else said
        await asyncio.sleep(delay_s)
        return web.json_response(answer, headers={"x-prompt-tokens": "1000", "x-generated-tokens": "5"})

    async def info(_: web.Request) -> web.Response:
        return web.json_response(INFO)

    app = web.Application()
    app.router.add_post("/generate", generate)
    app.router.add_get("/info", info)
    app.router.add_get("/health", info)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), *sys.argv[2:]))
