"""The text of own pages equals the stored one, and each rule of the builder by its effect."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from webarena_kit import Arena, arena, entry, fence

from tasks._shared.browser import find_browser
from tasks.webarena.observe import Sight, read_page

STORED = Path(__file__).with_name("webarena_pages.json")
PAGES = {
    "shop": ("shopping", "/"),
    "desk": ("shopping", "/desk.html"),
    "article": ("shopping", "/brass-reading-lamp.html"),
    "forum": ("reddit", "/"),
    "post": ("reddit", "/f/bread/3/"),
    "members": ("gitlab", "/ada/press/-/project_members"),
    "map": ("map", "/"),
}


async def texts(opened: Arena) -> dict[str, str]:
    """Each page's tree at the top and scrolled, ids masked, as 2023 showed it and as it comes."""
    found: dict[str, str] = {}
    for compat in ("2023", "raw"):
        opened.world.kit = replace(opened.world.kit, reading=replace(opened.world.kit.reading, compat=compat))
        for name, (site, path) in PAGES.items():
            start = opened.world.kit.sites.real[site] + path
            played = await opened.play(
                opened.sample(entry(start)), [fence("scroll [down]"), fence("stop []")]
            )
            for place, shown in zip(("top", "scrolled"), played.shown, strict=False):
                page = shown.messages[-1].content.partition("\n\n")[2].partition("\nURL: ")[0]
                for where, real in opened.world.kit.sites.real.items():
                    page = page.replace(real.removesuffix("/admin"), where)
                found[f"{name}/{place}/{compat}"] = re.sub(r"\[\d+\]", "[]", page)
    return found


@pytest.mark.skipif(find_browser() is None and not os.environ.get("CI"), reason="no Chromium on PATH")
async def test_pages_read_as_stored(tmp_path: Path) -> None:
    async with arena(tmp_path) as opened:
        found = await texts(opened)
    if os.environ.get("WEBARENA_STORE"):
        STORED.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    assert found == json.loads(STORED.read_text(encoding="utf-8"))
    assert found["desk/top/2023"] != found["desk/scrolled/2023"]
    assert " url: " in found["shop/top/raw"] and " url: " not in found["shop/top/2023"]


def node(key: int, role: str, name: str, children: tuple[int, ...] = (), **properties: Any) -> dict[str, Any]:
    told = [{"name": name, "value": {"value": value}} for name, value in properties.items()]
    return {
        "nodeId": str(key),
        "backendDOMNodeId": key,
        "role": {"value": role},
        "name": {"value": name},
        "childIds": [str(child) for child in children],
        "properties": told,
    }


def page(*nodes: dict[str, Any], boxes: dict[int, list[float]] | None = None, **changes: Any) -> list[str]:
    """The lines of a made-up page; without boxes every node is in view."""
    ids = [one["backendDOMNodeId"] for one in nodes]
    placed = boxes or {key: [0, 0, 1280, 720] for key in ids}
    parents = [
        next((ids.index(o["backendDOMNodeId"]) for o in nodes if str(key) in o["childIds"]), -1)
        for key in ids
    ]
    document = {
        "nodes": {"backendNodeId": ids, "parentIndex": parents},
        "layout": {
            "nodeIndex": [ids.index(key) for key in placed],
            "bounds": list(placed.values()),
        },
    }
    sight = replace(Sight(str), **changes)
    return read_page(nodes, {"documents": [document]}, sight).text.split("\n")


def test_a_node_out_of_view_hides_what_is_below_it() -> None:
    nodes = node(1, "RootWebArea", "r", (2,)), node(2, "list", "l", (3,)), node(3, "link", "a")
    seen = {1: [0, 0, 1280, 720], 2: [0, 900, 100, 100], 3: [0, 10, 10, 10]}
    assert page(*nodes, boxes=seen) == ["[1] RootWebArea 'r'", "\t[2] list 'l'", "\t\t[3] link 'a'"]
    below = {**seen, 3: [0, 905, 10, 10]}
    assert page(*nodes, boxes=below) == ["[1] RootWebArea 'r'"]


def test_hollow_nodes_leave_their_children_at_their_depth() -> None:
    nodes = (
        node(1, "RootWebArea", "r", (2, 4)),
        node(2, "generic", " ", (3,)),
        node(3, "link", "a", focusable=True),
    )
    assert page(*nodes, node(4, "listitem", "", level=1)) == ["[1] RootWebArea 'r'", "\t[3] link 'a'"]


def test_roles_of_2023() -> None:
    nodes = (
        node(1, "RootWebArea", "r", (2, 3, 4), url="http://x"),
        node(2, "image", "i"),
        node(3, "form", "", (5,)),
        node(4, "combobox", "c", (6,), expanded=False),
        node(5, "cell", "d"),
        node(6, "MenuListPopup", "", (7,)),
        node(7, "option", "o"),
    )
    assert page(*nodes) == [
        "[1] RootWebArea 'r'",
        "\t[2] img 'i'",
        "\t[5] gridcell 'd'",
        "\t[4] combobox 'c' expanded: False",
    ]
    raw = page(*nodes, compat="raw")
    assert raw[0] == "[1] RootWebArea 'r' url: http://x" and "\t[3] form ''" in raw
    assert raw[-1] == "\t\t\t[7] option 'o'"


@pytest.mark.parametrize(
    ("text", "paper", "fixed"),
    [
        ("new", True, True),
        ("it's", False, True),
        ("2", False, True),
        ("link a", False, False),
        ("'\"", True, True),
    ],
)
def test_which_texts_are_left_out(text: str, paper: bool, fixed: bool) -> None:
    """By the released rule quotes and the digits of ids decide as well."""
    nodes = node(1, "RootWebArea", "r", (2, 3)), node(2, "link", "a link a"), node(3, "StaticText", text)
    line = f"\t[3] StaticText {text!r}"
    assert ((line in page(*nodes)), (line in page(*nodes, kept="fixed"))) == (paper, fixed)
