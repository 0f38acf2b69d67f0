"""Runs in a worker process: TextWorld's PDDL engine, with a game in each slot, played one call at a time."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

ESCAPES = {"_bar_": "|", "_minus_": "-", "_plus_": "+", "_dot_": ".", "_comma_": ","}


def names(ids: Iterable[str]) -> dict[str, str]:
    """Give PDDL ids the names that players see: `mug_bar_..` becomes `mug 2`.

    In sorted order the ids of a class are numbered from their count down to 1; the basin of a sink or
    bathtub is a class of its own. The numbers are part of the games: walkthroughs and exemplars use them.
    """
    ordered = sorted(ids)
    left = Counter(_class(name) for name in ordered if "_bar_" in name)
    found: dict[str, str] = {}
    for name in ordered:
        if "_bar_" not in name:
            found[name] = f"{_class(name)} "
            continue
        found[name] = f"{_class(name)} {left[_class(name)]}"
        left[_class(name)] -= 1
    return found


def _class(name: str) -> str:
    for escape, character in ESCAPES.items():
        name = name.replace(escape, character)
    head, bar, rest = name.partition("|")
    return f"{head}basin" if bar and "basin" in f"{head}{rest}" else head


class Translation:
    """Replaces the engine's PDDL translator, which it calls four times for one game.

    One translation is enough to play. The second kind serves the planner only; unless a plan is wanted the
    planner gets the smallest task there is, which saves most of its memory.
    """

    IDLE = (
        "(define (domain idle) (:predicates (p)) (:action a :parameters () :precondition (and) :effect (p)))",
        "(define (problem idle) (:domain idle) (:init) (:goal (p)))",
    )

    def __init__(self, translate: Callable[..., tuple[Any, str]]) -> None:
        self._translate = translate
        self._idle = translate(*self.IDLE)[1]
        self._known: dict[tuple[str, str, bool], tuple[Any, str]] = {}
        self.plan = False

    def __call__(
        self, domain: str, problem: str, *, verbose: bool = False, optimize: bool = False
    ) -> tuple[Any, str]:
        """Translate, or return the translation of before; see `fast_downward.pddl2sas`."""
        if optimize and not self.plan:
            return None, self._idle
        key = (domain, problem, optimize)
        if key not in self._known:
            self._known[key] = self._translate(domain, problem, verbose=verbose, optimize=optimize)
        return self._known[key]

    def forget(self) -> None:
        """Forget what was kept for the last game."""
        self._known.clear()


class GrammarParser:
    """Replaces the engine's parser of grammar rules, and parses equal texts once.

    All games have the same rules but for the task's sentence, and every turn expands the same few again.
    The engine makes its symbols anew from what is returned, so that games share nothing that changes.
    """

    KEPT = 1000

    def __init__(self, parse: Callable[..., Any]) -> None:
        self.parse = lru_cache(self.KEPT)(parse)


class Engine:
    """Slots of games; an engine object is made once per slot and used again, as each one leaks a library."""

    def __init__(self) -> None:
        import fast_downward
        from textworld.core import EnvInfos
        from textworld.envs.pddl import textgen
        from textworld.envs.pddl.pddl import PddlEnv

        translate: Any = fast_downward.pddl2sas
        self._translation = fast_downward.pddl2sas = Translation(translate)
        rules: Any = textgen
        rules._PARSER = GrammarParser(rules._PARSER.parse)
        self._slots: defaultdict[int, Any] = defaultdict(
            lambda: PddlEnv(EnvInfos(won=True, admissible_commands=True))
        )

    def open(self, slot: int, domain: str, grammar: str, problem: str, plan: bool) -> list[Any]:
        """Start a game.

        Args:
            slot: where it is played; a game that was there is gone.
            domain: PDDL.
            grammar: TextWorld's grammar, with the task sentence in it.
            problem: PDDL.
            plan: also let the planner find commands that win.

        Returns:
            Feedback, admissible commands, plan.
        """
        env = self._slots[slot]
        self._translation.plan = plan
        try:
            env.load({"pddl_domain": domain, "grammar": grammar, "pddl_problem": problem})
            for name, shown in names(env._entity_infos).items():
                env._entity_infos[name].name = shown
            state = env.reset()
        finally:
            self._translation.forget()
        steps = list(env._pddl_state.replan(env._entity_infos)) if plan else []
        _slim(env._pddl_state)
        return [state.feedback, state["admissible_commands"], steps]

    def step(self, slot: int, command: str) -> list[Any]:
        """Execute a command; returns feedback, admissible commands and whether the game is won."""
        state, _, _ = self._slots[slot].step(command)
        return [state.feedback, state["admissible_commands"], bool(state["won"])]


def _slim(state: Any) -> None:
    """Drop what only the start of a game needs: some 3 MB a slot, and what the translator leaves behind."""
    state.task, state.sas, state.sas_replan = None, "", ""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def handler() -> Engine:
    """Build what the worker serves."""
    return Engine()
