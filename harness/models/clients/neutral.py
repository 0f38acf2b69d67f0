"""What each kind of OpenAI-compatible server adds to a request by itself, and what takes it out again.

A request that says only `temperature` is drawn under a server's own defaults: llama.cpp cuts to the 40
likeliest tokens, vLLM takes the model's generation_config.json, llama-cpp-python penalises repetition even
under temperature 0. `KINDS` lists, for each kind, the fields that it understands with the values that change
nothing.

Sources of the fields (read in November 2026):

* vLLM: `vllm/entrypoints/openai/completion/protocol.py` (CompletionRequest). -1 switches top_k off in every
  version, 0 only in newer ones. `truncation_side` is newer than `truncate_prompt_tokens`, whose older
  versions keep the last tokens without it. At most `--max-logprobs` (20) alternatives;
  unknown fields are ignored.
* SGLang: `sglang/srt/entrypoints/openai/protocol.py` (CompletionRequest). It has no field for token ids, and
  names alternatives by their decoded text.
* llama.cpp: `tools/server/README.md` and `server-common.cpp`: other fields of a completion are handed on to
  its own sampler. Any number of alternatives; `echo` is refused; a prompt may be token ids.
* llama-cpp-python: `llama_cpp/server/types.py` (CreateCompletionRequest): top_k 40, min_p 0.05,
  repeat_penalty 1.1 unless sent; a prompt is text.
* transformers serve: `cli/serving`: an unknown field is refused ("Unexpected keys in the request"), as are
  logprobs and presence_penalty; frequency_penalty is taken as a repetition penalty, so it is not sent.
* LiteLLM: OpenAI's fields; one that the server behind it lacks is refused by name (UnsupportedParamsError).
  Its `openai/` models hand on every other field as well (seen with 1.108).
* TGI: /v1 refuses top_p 1 and adds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.models.untrusted import record, rows, short

Number = float | int | bool


@dataclass(frozen=True, slots=True)
class ServerKind:
    """A kind of server.

    Attributes:
        title: its name for people.
        neutral: fields of both protocols with the value under which they change nothing.
        completions: further ones of /v1/completions only.
        unset: what the server adds and no field takes out; empty when nothing is known.
        widths: alternatives to a token to ask for; the first is the usual number, a later one is asked for
            when a server refuses the number before it.
        most: alternatives to ask for when a choice is not among the usual number; 0 when there are no more.
        token_ids: it names tokens by id when asked (`return_tokens_as_token_ids`); text is ambiguous.
        echo: its `echo` gives the log-probability of each token of the prompt.
        truncates: it has `truncate_prompt_tokens`.
        takes_ids: a prompt may be a list of token ids.
    """

    title: str
    neutral: Mapping[str, Number] = field(default_factory=dict[str, Number])
    completions: Mapping[str, Number] = field(default_factory=dict[str, Number])
    unset: str = ""
    widths: tuple[int, ...] = (20, 5)
    most: int = 0
    token_ids: bool = False
    echo: bool = False
    truncates: bool = False
    takes_ids: bool = False


_PENALTIES: Mapping[str, Number] = {"presence_penalty": 0.0, "frequency_penalty": 0.0}
_HF: Mapping[str, Number] = {"top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, **_PENALTIES}
_LLAMA: Mapping[str, Number] = {"top_p": 1.0, "top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0, **_PENALTIES}

KINDS: Mapping[str, ServerKind] = {
    "vllm": ServerKind(
        "vLLM", _HF, {"add_special_tokens": True}, token_ids=True, echo=True, truncates=True, takes_ids=True
    ),
    "sglang": ServerKind(
        "SGLang",
        _HF,
        unset="alternatives are named by decoded text, in which a letter with and without a space may be one",
        takes_ids=True,
    ),
    "llama.cpp": ServerKind(
        "llama.cpp",
        {
            **_LLAMA,
            "typical_p": 1.0,
            "dry_multiplier": 0.0,
            "xtc_probability": 0.0,
            "dynatemp_range": 0.0,
            "mirostat": 0,
        },
        widths=(100, 20, 5),
        most=20_000,
        takes_ids=True,
    ),
    "llama-cpp-python": ServerKind(
        "llama-cpp-python", {**_LLAMA, "mirostat_mode": 0}, unset="typical_p has no field"
    ),
    "transformers": ServerKind(
        "transformers serve",
        {"top_p": 1.0},
        unset="top_k, min_p and penalties of the model's generation_config.json stand",
    ),
    "litellm": ServerKind(
        "LiteLLM",
        {"top_p": 1.0, **_PENALTIES},
        unset="top_k, min_p and repetition penalties of the server behind it are not known",
    ),
    "tgi": ServerKind("TGI", widths=(5,)),
    "": ServerKind("a server of unknown kind", unset="its own top_k, top_p, min_p and penalties stand"),
}

VERSIONS: Mapping[str, tuple[str, str]] = {
    "vllm": ("/version", "version"),
    "sglang": ("/get_server_info", "version"),
    "llama.cpp": ("/props", "build_info"),
}
"""The page of a kind of server that tells its version, and the key under which it does."""

LITELLM_ALIVE = ("/health/liveliness", b'"I\'m alive!"')
"""LiteLLM's page and all it says, of any version; its /openapi.json has 2 MB and takes seconds at first."""

_OWNERS: Mapping[str, str] = {
    "vllm": "vllm",
    "sglang": "sglang",
    "llamacpp": "llama.cpp",
    "me": "llama-cpp-python",
}


def by_listing(listed: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    """Recognise a server's kind by its /v1/models and their headers; empty when they do not tell.

    LiteLLM is asked first: it lists the models of the servers behind it.
    """
    if headers.get("x-litellm-version"):
        return "litellm"
    owners = {short(record(row).get("owned_by")) for row in rows(listed.get("data"))[:100]}
    if len(owners) == 1 and (kind := _OWNERS.get(owners.pop())):
        return kind
    return "llama.cpp" if headers.get("server", "").lower().startswith("llama.cpp") else ""


def by_pages(props: Mapping[str, Any], version: Mapping[str, Any], openapi: Mapping[str, Any]) -> str:
    """Recognise a server's kind by pages that only it has; empty when they do not tell.

    Args:
        props: llama.cpp's /props.
        version: vLLM's /version.
        openapi: /openapi.json, which servers made with FastAPI have.
    """
    if "default_generation_settings" in props:
        return "llama.cpp"
    paths = record(openapi.get("paths"))
    if short(version.get("version")) and ("/detokenize" in paths or not paths):
        return "vllm"
    title = short(record(openapi.get("info")).get("title"))
    if "llama.cpp Python" in title:
        return "llama-cpp-python"
    if title.startswith("LiteLLM"):
        return "litellm"
    own = {"/v1/chat/completions", "/v1/responses", "/v1/audio/transcriptions"}
    return "transformers" if own <= paths.keys() and "/tokenize" not in paths else ""
