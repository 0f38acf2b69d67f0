"""What is known of a server: which model it serves and what it can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an endpoint can do.

    Attributes:
        version: of TGI; empty for other servers.
        server: `tgi`, `openai` or `generic` (no /info, so that everything is tried).
        software: what runs behind OpenAI's protocol, a key of `clients.neutral.KINDS`; empty when unknown.
        build: its version, as it tells it; empty when it does not.
        methods: ways to rank choices that its version has.
        max_input: most prompt tokens, 0 unknown; `max_total` with the generated ones.
        model_id, model_sha: what it serves; all endpoints of a model must agree.
        info: /info as received.
    """

    server: str = "generic"
    version: str = ""
    model_id: str = ""
    model_sha: str = ""
    tokenize: bool = True
    chat: bool = False
    methods: tuple[str, ...] = ("G", "P", "T", "O", "F")
    max_input: int = 0
    max_total: int = 0
    max_concurrent: int = 0
    info: Mapping[str, Any] = field(default_factory=dict[str, Any])
    software: str = ""
    build: str = ""
