"""Answers of a local model as TGI 3.3.6 writes them: bodies, events, headers, metrics."""

from __future__ import annotations

import time
from typing import Any

from harness.models.local.sequence import Done, Token
from harness.models.local.service import Service, Started

VERSION = "3.3.6"
"""Of the protocol that is spoken."""


def info(service: Service) -> dict[str, Any]:
    """The body of `/info`."""
    loaded, total = service.loaded, service.context
    return {
        "model_id": loaded.name,
        "model_sha": loaded.sha or None,
        "model_dtype": loaded.dtype,
        "model_device_type": loaded.device.partition(":")[0],
        "version": VERSION,
        "router": "harness-local",
        "max_concurrent_requests": service.settings.concurrent,
        "max_input_tokens": total - 1,
        "max_total_tokens": total,
        "max_stop_sequences": 4,
        "max_best_of": 1,
        "max_client_batch_size": 1,
        "validation_workers": 1,
        **({"random_weights": True} if loaded.random else {}),
    }


def body(started: Started, done: Done) -> dict[str, Any]:
    """The body of a whole answer."""
    sent = started.request.parameters
    text = started.request.inputs + done.text if sent.return_full_text else done.text
    if not (sent.details or sent.decoder_input_details):
        return {"generated_text": text}
    details: dict[str, Any] = {
        "finish_reason": done.finish,
        "generated_tokens": len(done.tokens),
        "seed": started.seed,
        "prefill": [{"id": one.id, "text": one.text, "logprob": one.logprob} for one in done.prefill],
        "tokens": [token(one) for one in done.tokens],
    }
    if sent.top_n_tokens:
        details["top_tokens"] = [[token(other) for other in one.top] for one in done.tokens]
    return {"generated_text": text, "details": details}


def event(started: Started, index: int, told: Token | Done) -> dict[str, Any]:
    """One event of a stream; the last one has the last token, the whole text and the details."""
    done, told = (told, told.tokens[-1]) if isinstance(told, Done) else (None, told)
    sent = started.request.parameters
    found: dict[str, Any] = {"index": index, "token": token(told)}
    if sent.top_n_tokens:
        found["top_tokens"] = [token(other) for other in told.top]
    if done is None:
        return found | {"generated_text": None, "details": None}
    text = started.request.inputs + done.text if sent.return_full_text else done.text
    details: dict[str, Any] = {
        "finish_reason": done.finish,
        "generated_tokens": len(done.tokens),
        "seed": started.seed,
        "input_length": len(started.prompt.ids),
    }
    return found | {"generated_text": text, "details": details if sent.details else None}


def token(one: Token) -> dict[str, Any]:
    """A token."""
    return {"id": one.id, "text": one.text, "logprob": one.logprob, "special": one.special}


def headers(service: Service, started: Started, done: Done | None = None) -> dict[str, str]:
    """The headers of an answer; times are in milliseconds, those of a stream are not known yet."""
    found = {
        "x-compute-type": service.loaded.device,
        "x-compute-characters": str(len(started.request.inputs)),
        "x-prompt-tokens": str(len(started.prompt.ids)),
    }
    if done is None:
        return found
    total = round((time.monotonic() - started.received) * 1000)
    count = len(done.tokens)
    waited = min(total, max(0, round((started.sequence.joined - started.received) * 1000)))
    return found | {
        "x-generated-tokens": str(count),
        "x-total-time": str(total),
        "x-validation-time": "0",
        "x-queue-time": str(waited),
        "x-inference-time": str(total - waited),
        "x-time-per-token": str((total - waited) // max(1, count)),
    }


def metrics(service: Service) -> str:
    """What `/metrics` says, under TGI's names, in Prometheus' text format."""
    engine, outcomes = service.engine, service.outcomes
    lines = [
        *_metric("tgi_request_count", "counter", sum(outcomes.values())),
        *_metric("tgi_request_success", "counter", outcomes["success"]),
        "# TYPE tgi_request_failure counter",
        *(
            f'tgi_request_failure{{err="{name}"}} {outcomes[name]}'
            for name in ("validation", "generation", "overloaded", "cancelled")
        ),
        *_metric("tgi_queue_size", "gauge", engine.waiting),
        *_metric("tgi_batch_current_size", "gauge", engine.running),
        *_metric("tgi_batch_current_max_size", "gauge", engine.budget.rows),
        *_metric("tgi_batch_inference_count", "counter", engine.counts.steps),
        *_metric("tgi_generated_tokens_total", "counter", engine.counts.tokens),
    ]
    return "\n".join(lines) + "\n"


def _metric(name: str, kind: str, value: int) -> tuple[str, str]:
    return f"# TYPE {name} {kind}", f"{name} {value}"
