"""A server that answers everything after the same delay: `fixed_latency_server.py 0.05 [TEXT]`.

It has TGI's routes and, under /v1, those of a chat server; /asked says how many questions the latter was
asked. Prints its port on the first line and ends when its standard input does.
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


MODELS = {"object": "list", "data": [{"id": "mine", "object": "model", "owned_by": "benchmark"}]}


def chat_answer(text: str) -> dict[str, object]:
    """What `/v1/chat/completions` says."""
    message = {"role": "assistant", "content": text}
    return {
        "id": "chat-1",
        "object": "chat.completion",
        "created": 0,
        "model": "mine",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 5, "total_tokens": 1005},
    }


async def serve(delay_s: float, text: str = TEXT) -> None:
    said, chat_said = {"generated_text": text, "details": DETAILS}, chat_answer(text)

    async def generate(request: web.Request) -> web.Response:
        answer = CHOSEN if b'"grammar"' in await request.read() else said
        await asyncio.sleep(delay_s)
        return web.json_response(answer, headers={"x-prompt-tokens": "1000", "x-generated-tokens": "5"})

    asked = 0

    async def chat(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        await request.read()
        await asyncio.sleep(delay_s)
        return web.json_response(chat_said)

    async def count(_: web.Request) -> web.Response:
        return web.json_response(asked)

    async def models(_: web.Request) -> web.Response:
        return web.json_response(MODELS)

    async def info(_: web.Request) -> web.Response:
        return web.json_response(INFO)

    app = web.Application()
    app.router.add_post("/generate", generate)
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/v1/models", models)
    app.router.add_get("/asked", count)
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
