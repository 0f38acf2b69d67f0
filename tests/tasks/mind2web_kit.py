"""Self-made steps in the form Mind2Web releases, from which the fixture is prepared.

python tests/tasks/mind2web_kit.py        # writes tasks/mind2web/fixture/{std,dev}.sqlite anew
"""

from __future__ import annotations

import json
import pickle
import re
import tempfile
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

FIXTURE = Path(__file__).parents[2] / "tasks" / "mind2web" / "fixture"
SCORES = "scores_all_data.pkl"


class PageWriter:
    """Writes elements as Mind2Web's pages have them, each with the next node id."""

    def __init__(self) -> None:
        self._ids = count(10)

    def __call__(self, tag: str, *inner: str, text: str = "", id: object = "", **attributes: str) -> str:
        """An element with children behind its text; underscores belong to the attributes' names."""
        named = "".join(f' {name.rstrip("_")}="{value}"' for name, value in attributes.items())
        written = [f"<text>{text}</text>"] if text else []
        return (
            f'<{tag} backend_node_id="{id or next(self._ids)}"{named}>{"".join([*written, *inner])}</{tag}>'
        )


def pretty(markup: str) -> str:
    """The same page with every element on a line of its own, as most released pages are."""
    lines = re.sub(r"(</?[^>]+>)", r"\n\1\n", markup).split("\n")
    return "\n".join(line for line in lines if line.strip())


def booking() -> str:
    """A form: attributes of every kind, a hidden input, an icon, wrappers, and a list of twelve."""
    e = PageWriter()
    form = e(
        "form",
        e("input", id=101, type="text", aria_label="Where from", placeholder="City or airport", name="from"),
        e("input", id=102, type="text", aria_label="Where to", title="Where to", value="https://x.example"),
        e("input", type="hidden", name="token", value="undefined"),
        e("div", e("div", e("span", e("b", text="Travellers &amp; cabin"), id=103))),
        e("select", *(e("option", text=t) for t in ("Economy", "Business", "First")), id=104, name="cabin"),
        e("button", e("svg", class_="icon arrow-right"), id=105, type="submit", text='Say "go" &lt;now&gt;'),
        title="one two three four five six seven",
    )
    places = [e("li", id=200 + n, text=f"Stop {n} on the way") for n in range(12)]
    return e("html", e("body", e("div", form), e("ul", *places, role="listbox")))


def table() -> str:
    """Twenty rows of a table that is itself a candidate: its descendants are cut within a row."""
    e = PageWriter()
    rows = [e("tr", *(e("td", id=1000 + 10 * r + c, text=f"r{r} c{c}") for c in range(3))) for r in range(20)]
    words = " ".join(f"word{n}" for n in range(25))
    note = e("p", id=301, text=words, title="incomprehensibilities of fourteen-words here")
    return e("html", e("body", e("table", *rows, id=300, aria_label="Prices"), note))


def deep() -> str:
    """Nesting of eight levels under a candidate, and a candidate within a candidate."""
    e = PageWriter()
    inner = e("a", id=410, text="at the bottom", title="bottom")
    for level in range(8):
        inner = e("div", inner, id=401 + level, text=f"level {level}")
    buttons = [e("button", id=450 + n, text=f"Button {n}", name=f"b{n}") for n in range(10)]
    return e("html", e("body", e("main", inner, id=400), e("nav", *buttons)))


def shop() -> str:
    """Cards that repeat themselves."""
    e = PageWriter()
    cards = [
        e("div", e("a", id=500 + n, text=f"Item {n}", title=f"item {n}"), e("span", text="in stock"))
        for n in range(12)
    ]
    return e("html", e("body", e("div", *cards, class_="grid"), e("button", id=550, text="Filter")))


def step(
    uid: str,
    page: str,
    op: tuple[str, str, str],
    right: Sequence[int],
    ranked: Sequence[int],
) -> dict[str, Any]:
    """One action: `op` is operation, its name before the release's mapping, and value; best ranks first."""
    name, original, value = op

    def candidate(id: int) -> dict[str, Any]:
        attributes = json.dumps({"backend_node_id": str(id)})
        return {"tag": "x", "attributes": attributes, "backend_node_id": str(id), "is_original_target": True}

    return {
        "action_uid": uid,
        "raw_html": f"<!-- a copy nobody needs --> {page}",
        "cleaned_html": page,
        "operation": {"op": name, "original_op": original, "value": value},
        "pos_candidates": [candidate(id) for id in right],
        "neg_candidates": [candidate(id) for id in ranked if id not in right],
        "_ranked": list(ranked),
    }


CLICK = ("CLICK", "CLICK", "")


def stops(first: int, number: int) -> list[int]:
    return [200 + n for n in range(first, first + number)]


def std() -> list[dict[str, Any]]:
    """Three tasks of eleven steps: every number of candidates that matters, and every operation."""
    form, wide = pretty(booking()), booking()
    travel = [
        step(
            "0a", form, ("TYPE", "TYPE", "Lower  Saxony\nHanover"), [101], [102, 101, 103, 105, *stops(0, 6)]
        ),
        step("0b", wide, ("TYPE", "TYPE", "Zone 2"), [102], [101, 103, 104, 105, 200, 102]),
        step("0c", form, ("SELECT", "SELECT", "Business"), [104], [104, *stops(0, 10)]),
        step("0d", form, CLICK, [105], [105]),
        step("0e", form, ("CLICK", "HOVER", ""), [], [101, 102, 103, 104, 105, *stops(0, 5)]),
        step("0f", wide, CLICK, [211], [*stops(0, 10), 211]),
        step("0g", form, ("CLICK", "ENTER", ""), [103, 105], [101, 103, 102, 105, *stops(2, 6)]),
    ]
    prices = [
        step("1a", table(), CLICK, [1010], [300, 301, 1010, 1011, 1012, 1020, 1021, 1190, 1191, 1192]),
        step("1b", pretty(deep()), CLICK, [400, 410], [401, 402, 410, 400, 450, 451, 452, 453, 454, 459]),
    ]
    cards = [
        step("2a", pretty(shop()), CLICK, [503], [*(500 + n for n in range(10)), 550]),
        step("2b", shop(), ("TYPE", "TYPE", "two two words"), [550], [550, 500, 501, 502, 503, 504]),
    ]
    ties = {"0c": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9]}  # eleven candidates in the pool
    return [
        task("aaaa-0", "travel.example", "Travel", "Book a seat from Hanover to zone 2", travel, ties),
        task("bbbb-1", "prices.example", "Info", "Find the cheapest price", prices),
        task("cccc-2", "shop.example", "Shopping", "Find item 3, then filter", cards),
    ]


def dev() -> list[dict[str, Any]]:
    """One task of two steps."""
    both = [
        step("0a", pretty(shop()), CLICK, [502], [500, 501, 502, 503, 504, 505, 506]),
        step("0b", pretty(shop()), CLICK, [550], [550, 500, 501]),
    ]
    return [task("dddd-3", "shop.example", "Shopping", "Find item 2, then filter", both)]


def task(
    annotation: str,
    website: str,
    domain: str,
    wish: str,
    actions: list[dict[str, Any]],
    ties: dict[str, list[int]] | None = None,
) -> dict[str, Any]:
    """A task of these actions; `ties` gives ranks to a step's candidates in place of 0, 1, 2, ..."""
    for action in actions:
        ranked = action.pop("_ranked")
        ranks = (ties or {}).get(action["action_uid"], range(len(ranked)))
        action["_ranks"] = {str(id): rank for id, rank in zip(ranked, ranks, strict=True)}
    told = [f"[element]  {a['action_uid']} of {annotation} -> {a['operation']['op']}" for a in actions]
    return {
        "annotation_id": annotation,
        "website": website,
        "domain": domain,
        "subdomain": "Example",
        "confirmed_task": wish,
        "action_reprs": told,
        "actions": actions,
    }


def write(folder: Path, splits: Mapping[str, list[dict[str, Any]]] | None = None) -> Path:
    """Write tasks in their released form with their score file, and return the folder.

    Args:
        folder: gets a folder for each split.
        splits: tasks by the folder's name; None for those of the fixture.
    """
    ranks: dict[str, dict[str, int]] = {}
    for name, tasks in (splits or {"data_std": std(), "data_dev": dev()}).items():
        (folder / name).mkdir(parents=True)
        for one in tasks:
            for action in one["actions"]:
                ranks[f"{one['annotation_id']}_{action['action_uid']}"] = action.pop("_ranks")
        for number, one in enumerate(tasks):
            place = folder / name / f"part_{number}.json"
            place.write_text(json.dumps([one]), encoding="utf-8")
    scores = {sid: {node: -float(rank) for node, rank in row.items()} for sid, row in ranks.items()}
    (folder / SCORES).write_bytes(pickle.dumps({"scores": scores, "ranks": ranks}, 4))
    return folder


TEXTS = (
    *(
        "alpha",
        "beta",
        'say "hi"',
        "&lt;b&gt;",
        "x &amp;lt; y",
        "&amp;nbsp;",
        "\u00e9t\u00e9",
        "it's",
        "none",
    ),
    *("a" * 14, "b" * 15, "c" * 20),
)
VALUES = ("hidden", "NULL", "http://x y", "", "presentation")
NAMES = (
    "role",
    "type",
    "alt",
    "aria_label",
    "title",
    "name",
    "value",
    "placeholder",
    "class",
    "href",
    "style",
)


def wild(seed: int) -> tuple[str, list[str]]:
    """A page of arbitrary shape and up to five of its node ids; the same for the same seed.

    It has what released pages have and what they should not: nodes without an id, two with the same,
    comments, text elements with attributes, text outside of them.
    """
    r, ids = Random(seed), count()
    most, lone, blank = r.choice((12, 60, 200)), r.choice((0.0, 0.1)), r.choice(("", "\n", "\n  "))

    def attributes() -> str:
        picked = r.sample(NAMES, r.choice((0, 0, 0, 1, 3)))
        words = [" ".join(r.choices(TEXTS, k=r.choice((1, 1, 7)))).replace('"', "&quot;") for _ in picked]
        values = [word if r.random() < 0.8 else r.choice(VALUES) for word in words]
        return "".join(f' {name}="{value}"' for name, value in zip(picked, values, strict=True))

    def text() -> str:
        odd = r.choice((' x="1"', ' backend_node_id="9"')) if r.random() < 0.1 else ""
        return f"<text{odd}>{' '.join(r.choices(TEXTS, k=r.choice((1, 2, 25))))}</text>"

    def element(depth: int) -> str:
        number = next(ids)
        name = "" if r.random() < lone else f' backend_node_id="{number}"'
        children: list[str] = []
        for _ in range(r.choice((0, 1, 1, 1, 2, 3, 9)) if depth < 12 else 0):
            if number < most:
                children.append(element(depth + 1))
        if r.random() < 0.4:
            children.insert(r.randrange(len(children) + 1), text())
        if r.random() < 0.05:
            children.append(r.choice(("<!-- c -->", " text of no element ")))
        tag = r.choice(("div", "span", "a", "ul", "svg", "button", "p"))
        return f"<{tag}{name}{attributes()}>{blank}{blank.join(children)}{blank}</{tag}>"

    page = f'<html backend_node_id="h">{"".join(element(1) for _ in range(4))}</html>'
    known = sorted(set(re.findall(r'<[^t][^ >]* backend_node_id="([^"]+)"', page)))
    return page, r.sample(known, min(len(known), 5))


if __name__ == "__main__":
    import sys

    sys.path.insert(0, str(Path(__file__).parents[2]))
    from harness.data import quiet
    from tasks.mind2web.prepare import prepare

    with tempfile.TemporaryDirectory() as work:
        prepare(write(Path(work)), FIXTURE, quiet)
