"""Chooses each tool's implementation from the options, and names the stand-ins."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass

from harness.needs import Need, package, role, variable
from harness.types import Context, TaskConfig
from tasks._shared.wiki.opening import Backends, web_needs
from tasks._shared.wiki.opening import label as wiki_label
from tasks.rewoo.prompts import RewooPrompts
from tasks.rewoo.tools import google, wolfram
from tasks.rewoo.tools.algebra import Algebra
from tasks.rewoo.tools.base import Tool, Unavailable
from tasks.rewoo.tools.calculator import Calculator, DirectCalculator
from tasks.rewoo.tools.model import LLM, ROLE, Model
from tasks.rewoo.tools.speech import Speech
from tasks.rewoo.tools.wikipedia import Wikipedia

SPEECH = "data/docs/state_of_the_union.txt"


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The tools of a run.

    Attributes:
        fallbacks: stand-ins for tools; a run with any is not comparable with the paper.
        label: backends and stand-ins in a few words, for every score's note.
    """

    tools: Mapping[str, Tool]
    fallbacks: tuple[str, ...]
    label: str

    def fingerprint(self) -> dict[str, str]:
        """Each tool's implementation, for the manifest."""
        return {f"tool_{name}": tool.fallback or "itself" for name, tool in self.tools.items()}


def mode(cfg: TaskConfig) -> str:
    """Where tools get their answers: the `tools` option, which on the fixture means no keys at all."""
    chosen = cfg.options.tools
    if chosen != "auto":
        return chosen
    return "keyless" if cfg.source == "fixture" else "live"


def tool_needs(cfg: TaskConfig) -> list[Need]:
    """The keys, roles and files that the tools need, each with the option that needs none."""
    kind = mode(cfg)
    needs = web_needs(cfg, "offline" if kind == "keyless" else kind)
    if _choice(cfg, "wolfram", "api") == "algebra":
        needs.append(package("sympy", extra="wiki"))
    if kind in ("keyless", "replay"):
        return needs
    without = "--set rewoo.tools=keyless for named stand-ins (not comparable)"
    needs.append(role(ROLE, cfg, why="the LLM and Calculator tools", otherwise=without))
    for name, live, key in (("google", "serper", google.KEY), ("wolfram", "api", wolfram.KEY)):
        if _choice(cfg, name, live) == live:
            other = "unavailable" if name == "google" else "algebra"
            fix = f"export {key}=..., or --set rewoo.{name}={other}"
            needs.append(variable(key, why=f"for the {name} tool", fix=fix))
    return needs


@asynccontextmanager
async def open_toolbox(ctx: Context, backends: Backends, prompts: RewooPrompts) -> AsyncIterator[Toolbox]:
    """Build every tool, given what `tool_needs` names; what they hold is released when the block ends."""
    async with AsyncExitStack() as stack:
        speech = stack.enter_context(closing(Speech((ctx.data / SPEECH).read_text(encoding="utf-8"))))
        wolfram_tool = _wolfram(ctx, backends)
        if isinstance(wolfram_tool, Algebra):
            stack.push_async_callback(wolfram_tool.close)
        tools: dict[str, Tool] = {
            "Wikipedia": Wikipedia(backends.wiki, cut=ctx.options.grammar == "fixed"),
            **_model_tools(ctx, backends, prompts),
            "Google": _google(ctx, backends),
            "WolframAlpha": wolfram_tool,
            "SearchSOTU": speech,
        }
        fallbacks = tuple(sorted({tool.fallback for tool in tools.values() if tool.fallback}))
        wiki = wiki_label(backends.wiki)
        label = f"{wiki}; stand-ins: {', '.join(fallbacks)}" if fallbacks else wiki
        yield Toolbox(tools, fallbacks, label)


def _model_tools(ctx: Context, backends: Backends, prompts: RewooPrompts) -> dict[str, Tool]:
    if ROLE not in ctx.roles and mode(ctx) == "keyless":
        return {"LLM": Unavailable("no LLM tool"), "Calculator": DirectCalculator()}
    model = Model(backends.answers)
    direct = ctx.options.calculator == "direct"
    calculator = DirectCalculator() if direct else Calculator(model, prompts.calculator)
    return {"LLM": LLM(model, prompts.llm), "Calculator": calculator}


def _google(ctx: Context, backends: Backends) -> Tool:
    if _choice(ctx, "google", "serper") == "unavailable":
        return Unavailable("no Google", google.NO_RESULT)
    return google.Google(
        backends.answers,
        backends.web,
        endpoint=ctx.options.google_endpoint,
        key=os.environ.get(google.KEY, ""),
    )


def _wolfram(ctx: Context, backends: Backends) -> Tool:
    if _choice(ctx, "wolfram", "api") == "algebra":
        return Algebra()
    return wolfram.Wolfram(
        backends.answers,
        backends.web,
        endpoint=ctx.options.wolfram_endpoint,
        key=os.environ.get(wolfram.KEY, ""),
    )


def _choice(cfg: TaskConfig, option: str, live: str) -> str:
    """An option's value; `auto` is the real service, unless the run uses no keys."""
    chosen = str(getattr(cfg.options, option))
    if chosen != "auto":
        return chosen
    without = {"google": "unavailable", "wolfram": "algebra"}
    return without[option] if mode(cfg) == "keyless" else live
