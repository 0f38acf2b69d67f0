"""Builds a page's text from Chromium's accessibility tree and DOM snapshot, as the released code does.

Pure functions of what the two browser calls return.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tasks.webarena.boxes import Box, BoxedNode, boxes_of, joined, visible

Compat = Literal["2023", "raw"]
Filter = Literal["paper", "fixed"]

_UNTOLD = frozenset({"focusable", "editable", "readonly", "level", "settable", "multiline", "invalid"})
_HOLLOW = frozenset(
    {
        "generic",
        "img",
        "list",
        "strong",
        "paragraph",
        "banner",
        "navigation",
        "Section",
        "LabelText",
        "Legend",
        "listitem",
    }
)
_ROLES_2023 = {"image": "img", "cell": "gridcell"}
_STATIC = re.compile(r"\[\d+\] StaticText '([^']+)'")
BACK = 3
"""How many kept lines before a text may make it superfluous."""


@dataclass(frozen=True, slots=True)
class Element:
    """A line of a page that an action may name.

    Attributes:
        line: without its indentation.
        box: where it is; None when it is not laid out.
    """

    line: str
    box: Box | None


@dataclass(frozen=True, slots=True)
class PageText:
    """A page as text.

    Attributes:
        elements: by shown id, those included that the filter or a later cut leaves out.
        scroll: how far the page is scrolled, to the right and down.
    """

    text: str = ""
    elements: Mapping[str, Element] = field(default_factory=dict)
    scroll: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Sight:
    """How a page is read.

    Attributes:
        shown: gives the id to show for one of the browser's.
        viewport: width and height of the window in CSS pixels.
    """

    shown: Callable[[str], str]
    compat: Compat = "2023"
    kept: Filter = "paper"
    viewport: tuple[int, int] = (1280, 720)


def read_page(tree: Sequence[Mapping[str, Any]], snapshot: Mapping[str, Any], sight: Sight) -> PageText:
    """Build a page's text.

    Args:
        tree: `nodes` of Accessibility.getFullAXTree.
        snapshot: the result of DOMSnapshot.captureSnapshot.
        sight: how to read it.
    """
    document = snapshot["documents"][0]
    boxes = boxes_of(document, sight.viewport[0])
    left, top = document.get("scrollOffsetX", 0.0), document.get("scrollOffsetY", 0.0)
    window = (left, top, left + sight.viewport[0], top + sight.viewport[1])
    nodes = visible(joined(tree, boxes), window)
    if not nodes:
        return PageText()
    closed = _closed_lists(nodes) if sight.compat == "2023" else frozenset[str]()
    elements: dict[str, Element] = {}
    lines: list[tuple[str, str, str]] = []
    for node, depth, told in _walk(nodes, sight, closed):
        key = sight.shown(node.raw["nodeId"])
        line = f"[{key}] {told}"
        elements[key] = Element(line, node.box)
        lines.append(("\t" * depth + line, node.raw["role"]["value"], node.raw["name"]["value"]))
    kept = _without_repeats if sight.kept == "paper" else _without_repeated_names
    return PageText("\n".join(kept(lines)), elements, (left, top))


def _closed_lists(nodes: Mapping[str, BoxedNode]) -> frozenset[str]:
    """The lists under select elements that are closed; Chromium of 2023 did not tell of them."""
    return frozenset(
        child
        for node in nodes.values()
        if _value(node.raw, "role") == "combobox" and dict(_properties(node.raw)).get("expanded") is not True
        for child in node.raw.get("childIds", ())
        if child in nodes and _value(nodes[child].raw, "role") == "MenuListPopup"
    )


def _walk(
    nodes: Mapping[str, BoxedNode], sight: Sight, skipped: Collection[str]
) -> Iterator[tuple[BoxedNode, int, str]]:
    """Every node that is shown, depth first from the first one, with its depth and its line without id.

    A node that is left out because nothing can be said of it leaves its children at its own depth.
    """
    stack = [(next(iter(nodes)), 0)]
    seen: set[str] = set()
    while stack:
        key, depth = stack.pop()
        if key in seen or key in skipped:
            continue
        seen.add(key)
        node = nodes[key]
        told = _told(node.raw, sight.compat)
        if told is not None:
            yield node, depth, told
            depth += 1
        stack.extend((child, depth) for child in reversed(node.raw.get("childIds", ())) if child in nodes)


def _told(raw: Mapping[str, Any], compat: Compat) -> str | None:
    """What a line says after its id; None for a node that has no line."""
    role, name = _value(raw, "role"), _value(raw, "name")
    if role is None or name is None:
        return None
    told = [(key, value) for key, value in _properties(raw) if key not in _UNTOLD]
    if compat == "2023":
        role = _ROLES_2023.get(role, role)
        told = [(key, value) for key, value in told if key != "url"]
        if role == "form" and not name.strip():
            return None
    if not name.strip() and (role == "listitem" or (not told and role in _HOLLOW)):
        return None
    return " ".join([f"{role} {name!r}", *(f"{key}: {value}" for key, value in told)])


def _value(raw: Mapping[str, Any], key: str) -> Any:
    return raw[key].get("value") if key in raw else None


def _properties(raw: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for entry in raw.get("properties", ()):
        if "value" in entry.get("value", ()):
            yield entry["name"], entry["value"]["value"]


def _without_repeats(lines: Sequence[tuple[str, str, str]]) -> list[str]:
    """Leave out texts that one of the last lines contains, by the released rule.

    A text that Python quotes with double quotes is always left out, and the digits of an id count as text.
    """
    kept: list[str] = []
    for line, _, _ in lines:
        if "statictext" in line.lower():
            match = _STATIC.search(line)
            if match is None or any(match[1] in before for before in kept[-BACK:]):
                continue
        kept.append(line)
    return kept


def _without_repeated_names(lines: Sequence[tuple[str, str, str]]) -> list[str]:
    """Leave out texts that the name of one of the last lines contains."""
    kept: list[tuple[str, str]] = []
    for line, role, name in lines:
        if role == "StaticText" and any(name in before for _, before in kept[-BACK:]):
            continue
        kept.append((line, name))
    return [line for line, _ in kept]
