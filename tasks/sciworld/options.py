"""What a user may set for ScienceWorld."""

from __future__ import annotations

from dataclasses import dataclass

from harness.types import option


@dataclass(frozen=True, slots=True)
class SciWorldOptions:
    """How actions are matched, when an episode stops, and how long prompts are cut."""

    action_match: str = option(
        "overlap",
        "passthrough",
        help="overlap rewrites every action to a listed one; passthrough first tries it as it is",
        choices=("overlap", "passthrough"),
    )
    stop_rules: str = option(
        "on",
        "extended",
        help="on: ten failures, a loop, twice step_limit turns; extended: waiting is no loop; off: none",
        choices=("on", "off", "extended"),
    )
    step_limit: int | None = option(100, help="moves after which the simulator stops", ge=1)
    fail_rule: str = option(
        "substring",
        "strict",
        help="substring takes any 'not', even in 'nothing', for a failure; strict does not",
        choices=("substring", "strict"),
    )
    truncation: str = option(
        "upstream",
        "llama",
        help="upstream: 4036 cl100k tokens, and the server cuts at 4000; llama: what surely fits 4096",
        choices=("upstream", "llama"),
    )
    first_line: bool = option(False, True, help="use the first line of a reply only")
    exemplars: bool = option(True, help="show the task's exemplar")
    simplification: str = option("easy", help="the simulator's simplifications", choices=("easy", "none"))
    per_task: int | None = option(None, help="at most so many variations of each task", ge=1)
