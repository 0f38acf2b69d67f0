"""Scripts for pages of shapes and colours."""

from __future__ import annotations

from typing import Any

from tasks.miniwob.policies.sight import SUBMIT, PageContent, Policy, by_id, click


def color(sight: PageContent) -> Policy:
    name = sight.said("on the (.*) colored")[0]
    yield click(f'//div[@data-color="{name}"]')


def shades(sight: PageContent) -> Policy:
    wanted = sight.said("shades of (.*) and press")[0]
    for n, span in enumerate(sight.find('//*[@id="area"]//span'), start=1):
        if span.get("data-color") == wanted:
            yield click(f'(//*[@id="area"]//span)[{n}]')
    yield SUBMIT


def fits(node: Any, description: str) -> bool:
    """Whether an svg node is what the words say: size, colour and kind, each if given."""
    kinds = {"rect": "rectangle", "circle": "circle", "polygon": "triangle"}
    text = kinds.get(node.tag) or node.text
    kind = "shape" if node.tag in kinds else "digit" if text.isdigit() else "letter"
    *words, noun = description.split()
    large = any(node.get(name) in ("20", "20px") for name in ("width", "font-size"))
    large = large or node.get("r") == "10" or (node.tag == "polygon" and _width(node) == 20)
    size = "large" if large else "small"
    return noun in ("item", text, kind) and all(word in (size, node.get("fill")) for word in words)


def _width(node: Any) -> float:
    columns = [float(point.split(",")[0]) for point in node.get("points").split()]
    return max(columns) - min(columns)


def shape(sight: PageContent) -> Policy:
    wanted = sight.said("Click on a (.*)")[0]
    for n, node in enumerate(sight.find('//*[@id="area_svg"]/*'), start=1):
        if fits(node, wanted):
            yield click(f'(//*[@id="area_svg"]/*)[{n}]')


def count_shapes(sight: PageContent) -> Policy:
    wanted = sight.said("How many (.*)s are there")[0]
    count = sum(fits(node, wanted) for node in sight.find('//*[@id="area_svg"]/*'))
    yield click(f'//button[text()="{count}"]')


def grid(sight: PageContent) -> Policy:
    yield by_id(sight.said(r"coordinate (\(.*\))")[0])
