"""What the model is shown: upstream's fixed messages, and the pages of the shop."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.data import digest, literals
from harness.errors import DataError
from harness.types import Message
from tasks.webshop.shop import Visit

FILE = "prompts.json"
_BASE = "THUDM/AgentTuning:AgentBench.old/src/tasks/webshop/__init__.py:"
PROMPT = f"{_BASE}prompt"
TURNS = tuple(f"{_BASE}predict#{place}" for place in (7, 11, 15, 19, 23, 27, 31, 35, 39))
"""The assent to the prompt, then the exemplar's four pages and replies."""

ACTIONS = f"{_BASE}predict#44"
"""The text between a page and the list of its actions."""

ADDRESSES = (PROMPT, *TURNS, ACTIONS)
LABEL = "Observation:\n"


class WebShopPrompts:
    """The texts of a data folder.

    Attributes:
        digest: hash of the ten fixed messages as upstream's list of role and text.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        if absent := [address for address in ADDRESSES if address not in texts]:
            raise DataError(
                f"prompts.json lacks {absent[0]}: harness data prepare webshop --from AGENTTUNING"
            )
        shown = [texts[address] for address in (PROMPT, *TURNS)]
        self.digest = digest([["agent" if place % 2 else "user", text] for place, text in enumerate(shown)])
        self._actions = texts[ACTIONS]
        self._fixed = tuple(
            Message("assistant" if place % 2 else "user", text, "task" if place < 2 else "shot")
            for place, text in enumerate(shown)
        )

    def opening(self, visit: Visit) -> tuple[Message, ...]:
        """The fixed messages and the first page."""
        return (*self._fixed, self.page(visit))

    def page(self, visit: Visit) -> Message:
        """The page that is open."""
        return Message("user", f"{LABEL}{visit.text()}{self._actions}{visit.available()}")


def load(data: Path) -> WebShopPrompts:
    """Read the prompts of a data folder."""
    return WebShopPrompts(literals(data / FILE))
