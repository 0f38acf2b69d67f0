"""Loads a causal language model of transformers with its tokenizer, from safetensors only."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import MissingPart
from harness.models.local.vocabulary import Vocabulary
from harness.models.local.weights import weights_sha
from harness.models.once import Once
from harness.models.untrusted import rows

log = logging.getLogger(__name__)

PACKAGES = ("torch", "transformers")
ELSEWHERE = "serve it with TGI, vLLM or llama.cpp and give --endpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a model is run.

    Attributes:
        device: as torch names it; empty takes `cuda` where there is one, else `cpu`.
        dtype: as torch names it; empty takes bfloat16 on a GPU and float32 on a CPU.
        revision: of a model on the hub; empty takes the newest.
        batch: most sequences at once; None takes what memory allows, at most 64.
        concurrent: most requests taken at once; more are answered 429.
    """

    device: str = ""
    dtype: str = ""
    revision: str = ""
    batch: int | None = None
    concurrent: int = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A model that is ready to compute.

    Attributes:
        name: its folder or its name on the hub.
        sha: hash of its weight files, or the hub's commit.
        context: tokens that it takes in all.
        ends: ids that end a text.
        token_bytes: memory that the keys and values of a token take.
        random: its config.json says `"random_weights": true`: made for tests and never trained.
    """

    name: str
    sha: str
    torch: Any
    model: Any
    tokenizer: Any
    vocabulary: Vocabulary
    context: int
    ends: tuple[int, ...]
    token_bytes: int
    random: bool

    @property
    def device(self) -> str:
        """As torch names it."""
        return str(self.model.device)

    @property
    def dtype(self) -> str:
        """As torch names it, without its prefix."""
        return str(self.model.dtype).removeprefix("torch.")


loaded_models = Once[tuple[str, Settings], Loaded]("loaded")


def missing_packages() -> list[str]:
    """The packages that are not installed."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def load(path: str, settings: Settings | None = None) -> Loaded:
    """Load a folder, or a name on the hub.

    Raises:
        MissingPart: a package, the weights or a part of them is missing, or the model cannot be run here.
    """
    settings = settings or Settings()
    if missing := missing_packages():
        raise MissingPart(f"hf:{path} needs {missing[0]}: pip install 'agenttuning-harness[local]'")
    if (known := loaded_models.get((path, settings))) is not None:
        return known
    log.info("loading the weights of %s", path)
    try:
        loaded = _load(path, settings)
    except MissingPart:
        raise
    except Exception as error:  # a broken download may raise anything
        raise MissingPart(f"hf:{path} cannot be loaded: {_reason(path, error)}") from error
    loaded_models.put((path, settings), loaded)
    return loaded


def usual_dtype(device: str) -> str:
    """The type of numbers that a model is run with where none is asked for."""
    return "float32" if device == "cpu" else "bfloat16"


def _load(path: str, settings: Settings) -> Loaded:
    torch: Any = importlib.import_module("torch")
    transformers: Any = importlib.import_module("transformers")
    device = settings.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise MissingPart(
            f"hf:{path}: torch finds no GPU for device {device}; take cpu, or a CUDA build of torch"
        )
    if device == "cpu":  # two threads that wait for each other on a loaded machine are far slower than one
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
    dtype = getattr(torch, settings.dtype or usual_dtype(device))
    source: dict[str, Any] = {"trust_remote_code": False}
    source |= {"revision": settings.revision} if settings.revision else {}
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(path, **source)
    if not getattr(tokenizer, "is_fast", False):
        raise MissingPart(f"hf:{path} has no fast tokenizer (tokenizer.json); {ELSEWHERE}")
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(
        path, dtype=dtype, use_safetensors=True, **source
    )
    model = model.to(device).eval()
    vocabulary = Vocabulary(tokenizer)
    _check(path, model, vocabulary)
    config = model.config.get_text_config()
    commit: Any = getattr(config, "_commit_hash", None)  # of a model from the hub
    return Loaded(
        name=path,
        sha=weights_sha(Path(path)) or str(commit or ""),
        torch=torch,
        model=model,
        tokenizer=tokenizer,
        vocabulary=vocabulary,
        context=_context(config),
        ends=_ends(model, tokenizer),
        token_bytes=token_bytes(config.to_dict() | _common(config), dtype.itemsize),
        random=bool(getattr(model.config, "random_weights", False)),
    )


def _check(path: str, model: Any, vocabulary: Vocabulary) -> None:
    rows = int(model.get_input_embeddings().weight.shape[0])
    if vocabulary.size > rows:
        told = f"its tokenizer has {vocabulary.size} tokens, its embedding {rows}"
        raise MissingPart(f"hf:{path}: {told}; give the tokenizer and the weights of one model")
    stateful = getattr(model, "_is_stateful", False)  # such a model keeps more than keys and values
    if stateful or getattr(model.config, "is_encoder_decoder", False):
        raise MissingPart(f"hf:{path}: {model.config.model_type} cannot be run in a batch here; {ELSEWHERE}")


def _context(config: Any) -> int:
    """Tokens in all; a sliding window ends it, as every token sees all those before it here."""
    whole = int(getattr(config, "max_position_embeddings", 0) or 4096)
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    return min(whole, int(window)) if window else whole


def _ends(model: Any, tokenizer: Any) -> tuple[int, ...]:
    told: Any = getattr(model.generation_config, "eos_token_id", None)
    if told is None:
        told = tokenizer.eos_token_id
    return tuple(map(int, rows(told) or ([] if told is None else [told])))


def _common(config: Any) -> dict[str, Any]:
    """The sizes by the names that transformers maps every model's own names to."""
    names = ("num_attention_heads", "hidden_size", "num_hidden_layers")
    return {name: getattr(config, name) for name in names}


def token_bytes(config: Mapping[str, Any], item: int) -> int:
    """Bytes of the keys and values of one token.

    Args:
        config: the model's, as its config.json has it.
        item: bytes of a number.

    Raises:
        KeyError: it does not name its sizes as Llama and most others do.
    """
    heads = int(config["num_attention_heads"])
    size = config.get("head_dim") or int(config["hidden_size"]) // heads
    kept = config.get("num_key_value_heads") or heads
    return 2 * int(config["num_hidden_layers"]) * int(kept) * int(size) * item


def _reason(path: str, error: Exception) -> str:
    text = str(error).strip().partition("\n")[0] or type(error).__name__
    if "trust_remote_code" in str(error):
        return f"it brings code of its own, which is not run here; {ELSEWHERE}"
    if "safetensors" in text and list(Path(path).glob("*.bin")):
        return "its weights are no safetensors; save them anew with transformers' save_pretrained"
    return text
