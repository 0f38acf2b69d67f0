"""Finds a chat template by what stands after `--template` or in models.toml."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from harness.errors import UsageError
from harness.templates import hub
from harness.templates.checkpoint import read
from harness.templates.template import Template

LLAMA_SYSTEM = "You are a helpful, respectful and honest assistant."
VICUNA_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
QWEN_SYSTEM = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."

# id -> (file, system text used when the conversation has none)
_SHIPPED: Mapping[str, tuple[str, str]] = {
    "llama2-chat": ("llama2-chat", ""),
    "agentlm": ("llama2-chat", LLAMA_SYSTEM),
    "agentlm-nosys": ("llama2-chat", ""),
    "vicuna": ("vicuna_v1.1", VICUNA_SYSTEM),
    "vicuna_v1.1": ("vicuna_v1.1", VICUNA_SYSTEM),
    "agent-flan": ("agent-flan", ""),
    "teval-llama2": ("teval-llama2", ""),
    "chatml": ("chatml", ""),
    "qwen": ("chatml", QWEN_SYSTEM),
    "llama3": ("llama3", ""),
    "mistral": ("mistral", ""),
    "gemma": ("gemma", ""),
    "zephyr": ("zephyr", ""),
    "none": ("none", ""),
}
_WITH_UPSTREAM = ("llama2-chat", "vicuna_v1.1", "teval-llama2")
_UPSTREAM = "-upstream"


def names() -> list[str]:
    """List the ids of the shipped templates, variants included."""
    variants = [name + _UPSTREAM for name, (file, _) in _SHIPPED.items() if file in _WITH_UPSTREAM]
    return sorted([*_SHIPPED, *variants])


def template(name: str) -> Template:
    """Find a template.

    Args:
        name: a shipped one, a `.jinja` file, a model's folder or its `tokenizer_config.json`, or the
            model's id on the hub.

    Raises:
        UsageError: no such template.
        MissingPart: the file is not there, or the hub does not give it.
        DataError: the file or folder holds no template.
    """
    if name in names():
        return _shipped(name)
    path = Path(name).expanduser()
    if _is_path(name) or path.exists():
        return Template.of_checkpoint(str(path), read(path))
    if hub.is_id(name):
        return Template.of_checkpoint(name, hub.from_hub(name))
    raise UsageError(
        f"unknown chat template {name!r}; known: {', '.join(names())}; "
        "or a .jinja file, a model's folder (./NAME), or its id on the hub"
    )


def _is_path(name: str) -> bool:
    return name.endswith((".json", ".jinja", "/")) or name.startswith(("/", "./", "../", "~"))


def _shipped(name: str) -> Template:
    base = name.removesuffix(_UPSTREAM)
    file, system = _SHIPPED[base]
    source = (files("harness") / "jinja" / f"{file}.jinja").read_text(encoding="utf-8")
    return Template(name, source, system, quirks=name != base, strict=file != "none")
