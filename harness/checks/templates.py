"""Shows what a model's chat templates write, and what its server makes of their special tokens."""

from __future__ import annotations

import json
from typing import Any, cast

from harness.errors import HarnessError
from harness.models import outside
from harness.models.api import Model
from harness.models.clients.base import BaseModel
from harness.models.pool.endpoint import Endpoint
from harness.models.untrusted import decode, record, rows
from harness.running.readiness import Finding
from harness.types import Message

_TALK = (
    Message("system", "Be brief."),
    Message("user", "Hello."),
    Message("assistant", "Good day."),
    Message("user", "Goodbye."),
)
_TRAINED = "right where the model was trained so; else give another --template"
_MOST = 24
"""Special tokens of a template that are looked up at most."""


async def template_findings(model: Model) -> list[Finding]:
    """Render two turns by each template of a model, and ask an endpoint for the ids of the special tokens.

    A model whose server renders by its own template has none here.
    """
    if not isinstance(model, BaseModel):
        return []
    findings: list[Finding] = []
    texts: list[str] = []
    for used in {one.sha256: one for one in model.templates.values()}.values():
        name, prompt = f"template {used.id}", used.render(_TALK)
        texts += used.special_tokens(prompt)
        written = json.dumps(prompt, ensure_ascii=False)
        findings.append(Finding("ok", name, f"writes two turns as {written}"))
        findings += [Finding("warn", name, note, _TRAINED) for note in used.notes]
    up = next((endpoint for endpoint in model.pool.endpoints if endpoint.healthy), None)
    if up is None or not texts:
        return findings
    known = [
        f"{text} {'+'.join(map(str, ids))}"
        for text, ids in await _ids(model, up, list(dict.fromkeys(texts))[:_MOST])
    ]
    if known:
        findings.append(Finding("ok", "special tokens", f"have the ids {', '.join(known)} at {up.url}"))
    return findings


async def _ids(model: BaseModel, endpoint: Endpoint, texts: list[str]) -> list[tuple[str, list[int]]]:
    """Each text with the ids of its tokens, without those that the server puts before every text.

    Empty when the server does not tokenize.
    """
    one, other = [await _tokenized(model, endpoint, text) for text in ("a", "b")]
    if one is None or other is None:
        return []
    added = next((i for i, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), 0)
    found: list[tuple[str, list[int]]] = []
    for text in texts:
        ids = await _tokenized(model, endpoint, text)
        if ids is not None:
            found.append((text, ids[added:] if ids[:added] == one[:added] else ids))
    return found


async def _tokenized(model: BaseModel, endpoint: Endpoint, text: str) -> list[int] | None:
    """Ids of a text's tokens; None when no answer of TGI's, vLLM's or llama.cpp's form gives them."""
    asked: dict[str, Any] = {"inputs": text, "parameters": {"max_new_tokens": 1}}  # TGI
    asked |= {"model": model.entry.wire_name, "prompt": text, "add_special_tokens": False}  # vLLM
    asked |= {"content": text, "add_special": False, "parse_special": True}  # llama.cpp
    body = json.dumps({key: value for key, value in asked.items() if value != ""}).encode()
    try:
        answer, _ = await model.transport.post(f"{endpoint.url}/tokenize", body, {})
        told: Any = decode(outside.received(bytes(answer)))
    except (HarnessError, ValueError):
        return None
    listed = [record(row).get("id") for row in rows(told)] or record(told).get("tokens")
    given = cast("list[Any]", listed) if isinstance(listed, list) else []
    ids = [one for one in given if isinstance(one, int)]
    return ids if ids and len(ids) == len(given) else None
