"""How one server is asked: what is sent beside OpenAI's own fields, and what it refused of that."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from harness.models.clients.neutral import KINDS, ServerKind
from harness.models.pool.faults import Refused

log = logging.getLogger(__name__)


class Dialect:
    """The fields that a kind of server understands, less those that this one refused.

    Attributes:
        server: the kind.
        refused: fields that are sent no more.
        most: alternatives to ask for when a choice is not among the usual number; 0 when there are no more.
    """

    def __init__(self, software: str, *, chat: bool) -> None:
        self.server: ServerKind = KINDS.get(software, KINDS[""])
        self.refused: set[str] = set()
        self._chat = chat
        self._width = self.server.widths[0]
        self.most = self.server.most

    @property
    def neutral(self) -> dict[str, Any]:
        """Values that take out what the server would add by itself."""
        own = dict(self.server.neutral) | ({} if self._chat else dict(self.server.completions))
        return self._allowed(own)

    @property
    def can_echo(self) -> bool:
        """Whether the prompt's own log-probabilities can be had."""
        return self.server.echo and not self._chat and "echo" not in self.refused

    def fields(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        """Write the fields beside those of `openai_wire.translate` for TGI parameters.

        `neutral` among the parameters overrides what is sent of neutral values: none, or penalties whatever
        the kind of server.
        """
        more = {} if sent.get("neutral") is False else self.neutral
        if sent.get("neutral"):
            more = {**_NO_PENALTY, **more}
        if sent.get("decoder_input_details"):
            more |= {"echo": True, **self._logprobs(1)}
        elif wanted := sent.get("top_logprobs"):
            more |= self._logprobs(wanted if wanted == self.most else self._width)
        if (most := sent.get("truncate")) and self.server.truncates:
            more |= {"truncate_prompt_tokens": most, "truncation_side": "left"}
        return self._allowed(more)

    def _logprobs(self, width: int) -> dict[str, Any]:
        asked = {"logprobs": True, "top_logprobs": width} if self._chat else {"logprobs": width}
        return asked | ({"return_tokens_as_token_ids": True} if self.server.token_ids else {})

    def _allowed(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in fields.items() if name not in self.refused}

    def give_way(self, refused: Refused, sent: Mapping[str, Any]) -> bool:
        """Take what a server refused out of later requests; false when there is nothing to take out.

        Args:
            refused: the refusal, in the server's words.
            sent: the body that was refused.
        """
        told = str(refused)
        width = sent.get("top_logprobs" if self._chat else "logprobs")
        if width and "logprob" in told:
            if width == self.most:
                self.most = 0
                return True
            fewer = [one for one in KINDS[""].widths + self.server.widths if one < width]
            if not fewer:
                return False
            self._width = min(self._width, max(fewer))
            return True
        # Of the fields that are sent only in order to change nothing, those that the refusal names.
        optional = {*self.server.neutral, *self.server.completions, "return_tokens_as_token_ids", *_CUT}
        named = {name for name in optional & sent.keys() if re.search(rf"\b{name}\b", told)}
        for name in sorted(named - self.refused):
            log.warning("the server refuses %s, which is sent no more: %s", name, told)
        self.refused |= named
        return bool(named)

    @property
    def truncates(self) -> bool:
        """Whether the server itself cuts a prompt that is too long."""
        return self.server.truncates and "truncate_prompt_tokens" not in self.refused

    def understood(self) -> dict[str, Any]:
        """What the server makes of a request, for the record: `server`, `sent` and `unset`."""
        unset = [self.server.unset] if self.server.unset else []
        unset += [f"it refuses {name}" for name in sorted(self.refused)]
        return {"server": self.server.title, "sent": self.neutral, "unset": unset}


_NO_PENALTY: Mapping[str, Any] = {
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "repetition_penalty": 1.0,
    "repeat_penalty": 1.0,
}
"""What would take out the penalties of a server whose kind is not known."""

_CUT = ("truncate_prompt_tokens", "truncation_side")
