"""A request of TGI's protocol: its shape, and what TGI 3.3.6 refuses in it, in TGI's words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec

from harness.models.local.invalid import Invalid

_Unsigned = Annotated[int, msgspec.Meta(ge=0)]
MOST_STOPS, MOST_TOP_TOKENS = 4, 5
_CHECKED_AHEAD = 1024
"""Of a longer answer only this much has to fit; what does not fit is cut with finish_reason `length`."""


class WantedGrammar(msgspec.Struct, frozen=True):
    """What an answer has to match."""

    type: Literal["json", "json_schema", "regex"]
    value: Any


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """TGI's GenerateParameters; names and meanings are the protocol's."""

    adapter_id: str | None = None
    best_of: _Unsigned | None = None
    decoder_input_details: bool = False
    details: bool = False
    do_sample: bool = False
    frequency_penalty: float | None = None
    grammar: WantedGrammar | None = None
    max_new_tokens: _Unsigned | None = None
    repetition_penalty: float | None = None
    return_full_text: bool = False
    seed: _Unsigned | None = None
    stop: tuple[str, ...] = ()
    temperature: float | None = None
    top_k: int | None = None
    top_n_tokens: _Unsigned | None = None
    top_p: float | None = None
    truncate: _Unsigned | None = None
    typical_p: float | None = None
    watermark: bool = False

    @property
    def sampling(self) -> bool:
        """Whether tokens are drawn at random: any of these asks for it, whatever `do_sample` says."""
        cuts = (self.top_k, self.top_p, self.typical_p)
        return self.do_sample or self.temperature not in (None, 1.0) or any(one is not None for one in cuts)


class GenerateRequest(msgspec.Struct, frozen=True):
    """The body of /generate, /generate_stream, / and /tokenize."""

    inputs: str
    parameters: Parameters = Parameters(do_sample=True)
    stream: bool = False


@dataclass(frozen=True, slots=True)
class Prompt:
    """The tokens that a model reads and how many it may write (at least one)."""

    ids: tuple[int, ...]
    room: int


def read(body: dict[str, Any]) -> GenerateRequest:
    """Read a parsed body; a parameter that is null counts as not sent.

    Raises:
        msgspec.ValidationError: a field has another type than the protocol gives it.
    """
    sent = body.get("parameters")
    if isinstance(sent, dict):
        body = body | {"parameters": {k: v for k, v in sent.items() if v is not None}}  # pyright: ignore[reportUnknownVariableType]
    elif sent is None:
        body = {key: value for key, value in body.items() if key != "parameters"}
    return msgspec.convert(body, GenerateRequest)


def check(request: GenerateRequest, *, stream: bool) -> None:
    """Refuse what TGI refuses before it counts tokens.

    Raises:
        Invalid: with TGI's text.
    """
    for problem in _problems(request, request.parameters, stream):
        raise Invalid(problem)


def _problems(request: GenerateRequest, sent: Parameters, stream: bool) -> Iterator[str]:
    yield from _best_of(sent, stream)
    if stream and sent.decoder_input_details:
        yield "`decoder_input_details` == true is not supported when streaming tokens"
    yield from _decoding(sent)
    if sent.max_new_tokens == 0:
        yield "`max_new_tokens` must be strictly positive"
    if (sent.seed or 0) >= 1 << 64:
        yield "`seed` must be less than 2^64"
    if (sent.top_n_tokens or 0) > MOST_TOP_TOKENS:
        yield f"`top_n_tokens` must be >= 0 and <= {MOST_TOP_TOKENS}. Given: {sent.top_n_tokens}"
    if not request.inputs:
        yield "`inputs` cannot be empty"
    if len(sent.stop) > MOST_STOPS:
        yield f"`stop` supports up to {MOST_STOPS} stop sequences. Given: {len(sent.stop)}"
    yield from _not_here(sent)


def _best_of(sent: Parameters, stream: bool) -> Iterator[str]:
    if (sent.best_of or 1) == 1:
        return
    if stream:
        yield "`best_of` != 1 is not supported when streaming tokens"
    if not sent.sampling:
        yield "you must use sampling when `best_of` is > 1"
    if sent.seed is not None:
        yield "`seed` must not be set when `best_of` > 1"
    yield "`best_of` != 1 is not allowed for this endpoint"


def _decoding(sent: Parameters) -> Iterator[str]:
    for name in ("temperature", "repetition_penalty"):
        value = getattr(sent, name)
        if value is not None and not value > 0:
            yield f"`{name}` must be strictly positive"
    if sent.frequency_penalty is not None and not -2 <= sent.frequency_penalty <= 2:
        yield "`frequency_penalty` must be >= -2.0 and <= 2.0"
    for name in ("top_p", "typical_p"):
        value = getattr(sent, name)
        if value is not None and not 0 < value < 1:
            yield f"`{name}` must be > 0.0 and < 1.0"
    if sent.top_k is not None and sent.top_k <= 0:
        yield "`top_k` must be strictly positive"


def _not_here(sent: Parameters) -> Iterator[str]:
    """What a TGI server can do and this one cannot."""
    elsewhere = "use a TGI server for it (docker/README.md)"
    if sent.watermark:
        yield f"`watermark` is not supported by a local model; {elsewhere}"
    if sent.adapter_id is not None:
        yield f"`adapter_id` is not supported by a local model; {elsewhere}"
    if sent.grammar is not None and sent.grammar.type != "regex":
        kind = sent.grammar.type
        yield f"grammar is not supported: a local model takes regular expressions, no {kind}; {elsewhere}"
    if sent.grammar is not None and not isinstance(sent.grammar.value, str):
        yield "grammar is not valid: the value of a regular expression must be a string"


def fitted(ids: list[int], sent: Parameters, most: int) -> Prompt:
    """Cut a prompt as `truncate` says and settle how much may be written.

    Args:
        ids: of the whole prompt.
        sent: the request's parameters.
        most: tokens that the model takes in all.

    Raises:
        Invalid: the prompt and its answer do not fit, with TGI's text.
    """
    if sent.truncate is not None:
        if not 0 < sent.truncate < most:
            raise Invalid(
                f"`truncate` must be strictly positive and less than {most - 1}. Given: {sent.truncate}"
            )
        ids = ids[-sent.truncate :]
    if not ids:
        raise Invalid("`inputs` cannot be empty")
    if len(ids) >= most:
        raise too_long(most, len(ids))
    room = most - len(ids)
    wanted = room if sent.max_new_tokens is None else sent.max_new_tokens
    if (checked := min(wanted, _CHECKED_AHEAD)) > room:
        raise Invalid(
            f"`inputs` tokens + `max_new_tokens` must be <= {most}. "
            f"Given: {len(ids)} `inputs` tokens and {checked} "
            "`max_new_tokens`"
        )
    return Prompt(tuple(ids), min(wanted, room))


def too_long(most: int, given: int) -> Invalid:
    """The refusal of a prompt that alone is too long."""
    return Invalid(f"`inputs` must have less than {most} tokens. Given: {given}")
