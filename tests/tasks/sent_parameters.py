"""What each task's requests carry under `paper`, by its specification, and a server that notes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from loopback_server import serving

from harness.catalog import registry
from harness.models.api import Call
from harness.models.connect import open_model
from harness.running.results import Decoding, as_sent
from harness.types import Ask, CallKey, Message, TaskSpec

DECODINGS: tuple[Decoding, ...] = ("protocol", "greedy", "released")
SEED = 7

Parameters = Mapping[str, Any]

_GREEDY: Parameters = {"do_sample": False, "details": True}


def _agentbench(tokens: int) -> dict[Decoding, list[Parameters]]:
    """Held-in tasks and the card game: the paper says greedy, the released client sent a temperature."""
    greedy = {**_GREEDY, "max_new_tokens": tokens, "truncate": 4096 - tokens}
    released = {**greedy, "temperature": 0.7, "seed": SEED}
    return {"protocol": [greedy], "greedy": [greedy], "released": [released]}


def _same(*sent: Parameters) -> dict[Decoding, list[Parameters]]:
    """Tasks whose released scripts sent what the paper says."""
    return {decoding: [{**_GREEDY, **one} for one in sent] for decoding in DECODINGS}


def _hotpotqa() -> dict[Decoding, list[Parameters]]:
    found = _same({"max_new_tokens": 256, "stop": ["\n"]})
    near_greedy = {"temperature": 1e-5, "top_p": 0.95, "typical_p": 0.95, "seed": SEED}
    return {**found, "released": [{**found["released"][0], **near_greedy}]}


def _by_category(*temperatures: float) -> dict[Decoding, list[Parameters]]:
    """MT-Bench: sampled at the category's temperature; 0 sends no temperature at all."""
    greedy = {**_GREEDY, "max_new_tokens": 4096}
    sampled: list[Parameters] = [
        {**greedy, "do_sample": True, "temperature": t, "seed": SEED} if t else greedy for t in temperatures
    ]
    return {"protocol": sampled, "greedy": [greedy], "released": sampled}


def _webarena() -> dict[Decoding, list[Parameters]]:
    greedy = {**_GREEDY, "max_new_tokens": 384, "truncate": 4000}
    sampled = {**greedy, "do_sample": True, "temperature": 1.0, "top_p": 0.9, "seed": SEED}
    return {"protocol": [sampled], "greedy": [greedy], "released": [sampled]}


SENT: Mapping[str, Mapping[Decoding, Sequence[Parameters]]] = {
    **{name: _agentbench(128) for name in ("alfworld", "dbbench", "knowledgegraph", "mind2web", "os")},
    "webshop": _agentbench(128),
    "card_game": _agentbench(512),
    # Upstream's client cuts at these two and sends no stop strings; sent, they only save tokens.
    "sciworld": _same({"max_new_tokens": 256, "truncate": 4000, "stop": ["[INST]", "<|end_of_turn|>"]}),
    "miniwob": _same({"max_new_tokens": 512, "truncate": 4000}),
    "hotpotqa": _hotpotqa(),
    "rewoo": _same({"max_new_tokens": 256, "truncate": 4000}),
    "webarena": _webarena(),
    **{name: _same({"max_new_tokens": 512}) for name in ("gsm8k", "agent_h")},
    # The letters with the space upstream ranks them with. The fixture's prompts are short: none is cut.
    "mmlu": _same({"max_new_tokens": 1, "top_n_tokens": 5, "grammar": {"type": "regex", "value": " [ABCD]"}}),
    "mt_bench": _by_category(0.7, 0.1, 0.0),
    # The fifth stop string, one more than a server takes, is cut by the client.
    "humaneval": _same({"max_new_tokens": 512, "stop": ["\nclass", "\ndef", "\n#", "\nif"]}),
}


@asynccontextmanager
async def noting(noted: list[Parameters]) -> AsyncIterator[str]:
    """Serve TGI's protocol: every letter is as likely, every text empty."""

    async def info(request: web.Request) -> web.Response:
        return web.json_response(
            {"model_id": "THUDM/agentlm-7b", "version": "3.3.6", "max_input_tokens": 4095}
        )

    async def generate(request: web.Request) -> web.Response:
        noted.append((await request.json())["parameters"])
        letters = [
            {"id": n, "text": f" {x}", "logprob": -1.0, "special": False} for n, x in enumerate("ABCD")
        ]
        details = {"finish_reason": "length", "generated_tokens": 1, "prefill": [], "tokens": letters[:1]}
        return web.json_response({"generated_text": " A", "details": {**details, "top_tokens": [letters]}})

    app = web.Application()
    app.router.add_get("/info", info)
    app.router.add_get("/health", info)
    app.router.add_post("/generate", generate)
    async with serving(app) as url:
        yield url


async def sent(spec: TaskSpec, asks: Sequence[Ask], decoding: Decoding) -> list[Parameters]:
    """Send every ask through the real client and return what arrived, without repeats."""
    noted: list[Parameters] = []
    async with noting(noted) as url, open_model("agentlm-7b", endpoints=[url]) as model:
        noted.clear()
        for number, ask in enumerate(asks):
            await model.complete(
                Call(
                    key=CallKey(spec.name, "s", 0, number),
                    messages=(Message("user", "x"),),
                    raw=None,
                    ask=as_sent(ask, decoding, "paper"),
                    seed=SEED,
                    suite=spec.suite,
                    decoding=spec.released if decoding == "released" else {},
                )
            )
    return [one for n, one in enumerate(noted) if one not in noted[:n]]


def unlisted() -> set[str]:
    """Tasks whose parameters nobody wrote down."""
    return set(registry.names()) - set(SENT)
