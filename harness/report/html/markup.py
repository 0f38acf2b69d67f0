"""Builds HTML and SVG so that no text can become markup: whatever is not `Markup` is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from harness.report.layout import plain
from harness.report.widths import width

LONGEST = 15
"""Columns of a name beside a plot; the tables have all of it."""


class Markup(str):
    """Text that was built as markup."""

    __slots__ = ()


EMPTY = Markup("")


def element(name: str, *inside: str, **attributes: str | float | None) -> Markup:
    """Write an element.

    Args:
        name: of the element.
        inside: markup as it is, other texts escaped and without control characters.
        attributes: `class_` stands for `class` and `stroke_width` for `stroke-width`; those that are None or
            empty are left out.
    """
    told = "".join(
        f' {key.strip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None and value != ""
    )
    return Markup(f"<{name}{told}>{joined(inside)}</{name}>")


def joined(pieces: Iterable[str], between: str = "") -> Markup:
    """Markup and texts after each other."""
    return Markup(between.join(one if isinstance(one, Markup) else escape(plain(one)) for one in pieces))


def short(name: str, most: int = LONGEST) -> str:
    """A name that fits beside a plot."""
    name = plain(name)
    if width(name) <= most:
        return name
    name = name[: most - 1]
    while width(name) >= most:
        name = name[:-1]
    return f"{name}…"


def decimal(value: float, digits: int = 2) -> str:
    """A number without the zeros at its end."""
    text = f"{value:.{digits}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def _value(value: str | float) -> str:
    return escape(plain(value)) if isinstance(value, str) else decimal(value)
