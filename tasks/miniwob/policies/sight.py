"""What a script sees, and the phrases it is written in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

Policy = Iterator[str]

SUBMIT = 'clickxpath //button[text()="Submit"]'


class PageContent:
    """What a script sees now; the oracle renews it before every instruction.

    Attributes:
        goal: the page's own request.
        fields: what the page says of its request, on the pages with free English.
    """

    goal: str = ""
    fields: Mapping[str, Any] = {}
    _root: Any = None

    def update(self, goal: str, page: str, fields: Mapping[str, Any]) -> None:
        """Look anew."""
        from lxml import html

        self.goal, self.fields = goal, fields
        self._root = html.fromstring(f"<body>{page}</body>")

    def find(self, xpath: str) -> list[Any]:
        """What an xpath finds on the page now."""
        return self._root.xpath(xpath)

    def said(self, pattern: str) -> tuple[str, ...]:
        """Groups of a pattern in the goal; empty texts when it does not match."""
        pattern_ = re.compile(pattern)
        match = pattern_.search(self.goal)
        return match.groups() if match else ("",) * pattern_.groups


def click(xpath: str) -> str:
    return f"clickxpath {xpath}"


def by_id(name: str) -> str:
    return f'clickxpath //*[@id="{name}"]'


def quoted(text: str) -> str:
    return f'"{text}"' if '"' not in text else f"'{text}'"
