"""The choices of a run: rules, how pages are shown and waited for, which upstream defects hold."""

from __future__ import annotations

from dataclasses import dataclass

from harness.types import option

PUBLISHED_BY = "gpt-3.5-turbo"
"""The judge of the published scores."""


@dataclass(frozen=True, slots=True)
class WebArenaOptions:
    """Whose evaluators, how pages are shown and waited for, and what of the released code's defects holds."""

    evaluators: str = option("v2023", "v2024", help="rules and task file", choices=("v2023", "v2024"))
    max_steps: int = option(30, help="actions of one episode", ge=1, le=100)
    max_obs_length: int = option(1920, help="cl100k tokens shown of a page", ge=1, le=100_000)
    judge: str = option(
        "auto",
        help="who reads the answers of 77 tasks; auto takes recorded verdicts on the own sites",
        choices=("auto", "judge", "recorded"),
    )
    settle: str = option(
        "quiet", help="wait until the page rests, or 2.5 s after each action", choices=("quiet", "fixed")
    )
    compat: str = option(
        "2023", help="show roles as Chromium did in 2023, or as they come", choices=("2023", "raw")
    )
    ids: str = option(
        "episode",
        help="number elements in order of sight, or show Chromium's ids",
        choices=("episode", "browser"),
    )
    obs_filter: str = option(
        "paper", "fixed", help="which texts are left out as repeated", choices=("paper", "fixed")
    )
    url_map: str = option(
        "parsed",
        help="replace addresses by origin, or by plain text as released",
        choices=("parsed", "legacy"),
    )
    strict_stop: bool = option(False, True, help="an early stop is no answer")
    lenient_actions: bool = option(False, True, help="read the forms of actions that the prompt suggests")
    crashes: bool = option(True, False, help="what crashed the released code ends the episode with 0")
