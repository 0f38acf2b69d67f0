"""What a model that runs in the harness's own process needs, for `harness doctor --model hf:PATH`."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.catalog.models import Entry
from harness.models.local.loading import ELSEWHERE, missing_packages, token_bytes, usual_dtype
from harness.models.local.local_hf import named_template
from harness.models.local.memory import available
from harness.models.untrusted import decode, record
from harness.running.readiness import Finding

_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
_WHOLE = "download it whole: the folder needs config.json, tokenizer.json and *.safetensors"
_CODE_FREE = "only safetensors are loaded; save it anew with transformers' save_pretrained"


def local_findings(entry: Entry) -> list[Finding]:
    """Packages, files, template and memory of an `hf:` model; weights are measured, not loaded."""
    found = [_packages()]
    folder = Path(entry.path).expanduser()
    if not folder.is_dir():
        state = "is no folder here, so it would be taken from the hub or its local cache"
        return [*found, Finding("warn", entry.path, state, "give a folder to have it checked")]
    config = _read(folder / "config.json")
    if not config:
        return [*found, Finding("fail", entry.path, "has no readable config.json", _WHOLE)]
    found.append(_template(entry, folder))
    size, wrong = _weights(entry.path, folder)
    if wrong is not None:
        return [*found, wrong]
    device, free = _free(entry.device)
    if not free:
        return [*found, Finding("fail", entry.path, f"torch finds no {device} here", "take another device")]
    dtype = entry.dtype or usual_dtype(device)
    return [*found, *_memory(entry.path, config, size, (device, dtype, free))]


def _packages() -> Finding:
    if missing := missing_packages():
        told = " and ".join(missing)
        return Finding("fail", "packages", f"{told} missing", "pip install 'agenttuning-harness[local]'")
    return Finding("ok", "packages", "torch and transformers are installed")


def _template(entry: Entry, folder: Path) -> Finding:
    if name := named_template(entry):
        return Finding("ok", "template", name)
    own = record(_read(folder / "tokenizer_config.json")).get("chat_template")
    if own or (folder / "chat_template.jinja").is_file():
        return Finding("ok", "template", "its own")
    return Finding("fail", "template", "the model has no chat template", "give --template")


def _weights(name: str, folder: Path) -> tuple[int, Finding | None]:
    """Bytes of the weight files, or what is wrong with them."""
    files = {path.name: path.stat().st_size for path in folder.glob("*.safetensors")}
    index = record(_read(folder / "model.safetensors.index.json"))
    named = {str(one) for one in record(index.get("weight_map")).values()}
    if absent := sorted(named - set(files)):
        told = f"{len(absent)} of {len(named)} weight files are missing: {', '.join(absent[:3])}"
        return 0, Finding("fail", name, told, _WHOLE)
    if not files:
        pickled = any(folder.glob("*.bin"))
        told = "has no *.safetensors" + (", only *.bin" if pickled else "")
        return 0, Finding("fail", name, told, _CODE_FREE if pickled else _WHOLE)
    return sum(files.values()), None


def _free(device: str) -> tuple[str, int]:
    """Where the model would run, and the bytes that are free there; 0 where there is no such device.

    Args:
        device: the requested one; empty takes a GPU where there is one.
    """
    if (not device or device.startswith("cuda")) and not missing_packages():
        torch: Any = importlib.import_module("torch")
        if torch.cuda.is_available():
            return device or "cuda", int(torch.cuda.mem_get_info(device or None)[0])
    return device or "cpu", 0 if device.startswith("cuda") else available()


def _memory(name: str, config: dict[str, Any], stored: int, where: tuple[str, str, int]) -> Iterator[Finding]:
    device, dtype, free = where
    written = _BYTES.get(str(config.get("dtype") or config.get("torch_dtype") or "float32"), 4)
    weights = stored * _BYTES[dtype] // written
    context = int(config.get("max_position_embeddings") or 4096)
    try:
        one = token_bytes(config, _BYTES[dtype])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        one = 0  # a kind of model that names its sizes in another way
    told = (
        f"{_gb(weights)} for the weights in {dtype} and {_gb(one * context)} for one sequence of {context} "
        f"tokens on {device}; {_gb(free)} are free"
    )
    if weights + one * context > free:
        yield Finding("fail", name, f"too little memory: it takes {told}", f"free some, or {ELSEWHERE}")
        return
    yield Finding("ok", name, f"takes {told}")


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def _read(path: Path) -> dict[str, Any]:
    """A JSON file; empty when it is not there or none."""
    try:
        return record(decode(path.read_bytes()))
    except (OSError, ValueError):
        return {}
