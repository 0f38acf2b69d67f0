"""Where the nodes of an accessibility tree are on the page, and which of them the window shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Box = tuple[float, float, float, float]
"""Left, top, width, height in CSS pixels of the whole page."""

NOTHING: Box = (0.0, 0.0, 0.0, 0.0)
EPS = 1e-8
"""Below this a width or height counts as none."""


@dataclass(frozen=True, slots=True)
class BoxedNode:
    """A node of the accessibility tree with its two boxes."""

    raw: Mapping[str, Any]
    box: Box | None
    union: Box | None


def boxes_of(document: Mapping[str, Any], width: int) -> dict[int, tuple[Box | None, Box | None]]:
    """Each DOM node's own box, and the one around it and its laid-out descendants, by backend id."""
    ids, parents = document["nodes"]["backendNodeId"], document["nodes"]["parentIndex"]
    layout = document["layout"]
    rects = layout["bounds"]
    scale = (rects[0][2] / width if rects else 1.0) or 1.0
    own: dict[int, Box] = {}
    for index, (x, y, w, h) in zip(layout["nodeIndex"], rects, strict=True):
        if index not in own:
            own[index] = (x / scale, y / scale, w / scale, h / scale)
    # A parent comes before its children, so that from the end each node is complete when it is reached.
    edges: dict[int, Box] = {}
    unions: dict[int, Box] = {}
    for index in sorted(own, reverse=True):
        x, y, w, h = own[index]
        here = edges.pop(index, None)
        if w > EPS and h > EPS:
            here = _around(here, (x, y, x + w, y + h))
        unions[index] = (here[0], here[1], here[2] - here[0], here[3] - here[1]) if here else NOTHING
        if here and parents[index] in own:
            edges[parents[index]] = _around(edges.get(parents[index]), here)
    return {backend: (own.get(index), unions.get(index)) for index, backend in enumerate(ids)}


def _around(first: Box | None, second: Box) -> Box:
    """The edges (left, top, right, bottom) around both."""
    if first is None:
        return second
    return (
        min(first[0], second[0]),
        min(first[1], second[1]),
        max(first[2], second[2]),
        max(first[3], second[3]),
    )


def joined(
    tree: Sequence[Mapping[str, Any]], boxes: Mapping[int, tuple[Box | None, Box | None]]
) -> dict[str, BoxedNode]:
    """The nodes by id, in the browser's order, with their boxes; of repeated ids the first counts."""
    raw: dict[str, Mapping[str, Any]] = {}
    for node in tree:
        raw.setdefault(node["nodeId"], node)
    found: dict[str, BoxedNode] = {}
    for key, node in raw.items():
        backend = node.get("backendDOMNodeId")
        if backend is None:
            box = union = None
        elif backend in boxes:
            box, union = boxes[backend]
        else:
            box, union = _inherited(node, raw, boxes)
        found[key] = BoxedNode(node, box, union)
    return found


def _inherited(
    node: Mapping[str, Any],
    raw: Mapping[str, Mapping[str, Any]],
    boxes: Mapping[int, tuple[Box | None, Box | None]],
) -> tuple[Box | None, Box | None]:
    """The boxes of the nearest ancestor that has any; of the top-most one when none has."""
    found: tuple[Box | None, Box | None] = (None, None)
    for _ in range(len(raw)):
        parent = raw.get(node.get("parentId", ""))
        if parent is None:
            break
        node, found = parent, boxes.get(parent.get("backendDOMNodeId", -1), (None, None))
        if found[1] is not None:
            break
    return found


def visible(
    nodes: Mapping[str, BoxedNode], window: tuple[float, float, float, float]
) -> dict[str, BoxedNode]:
    """The nodes whose outer box overlaps the window."""
    left, top, right, bottom = window
    kept: dict[str, BoxedNode] = {}
    for key, node in nodes.items():
        if node.union is None:
            continue
        x, y, w, h = node.union
        if x < right and x + w >= left and y < bottom and y + h >= top:
            kept[key] = node
    return kept
