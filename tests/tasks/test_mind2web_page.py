"""Mind2Web's pages: every cap at its edge, the text that upstream gives, and pages that are refused."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest
from mind2web_kit import FIXTURE, PageWriter, pretty, wild

from harness.errors import DataError
from tasks.mind2web import page, prompts, rows

GOLDEN: dict[str, str] = json.loads(Path(__file__).with_name("mind2web_golden.json").read_text())
"""Hashes of what upstream's own `dom_utils.py` and `dataloader.py` made of these pages, run once."""


def digest(shown: page.RenderedPage) -> str:
    told = json.dumps([shown.text, [list(choice) for choice in shown.choices]], ensure_ascii=False)
    return sha256(told.encode()).hexdigest()[:16]


def test_pages_of_any_shape_read_as_upstream_writes_them():
    found = {f"wild/{seed}": digest(page.render(*wild(seed))) for seed in range(60)}
    assert found == {name: known for name, known in GOLDEN.items() if name.startswith("wild/")}


def test_the_fixtures_pages_read_as_upstream_writes_them():
    found: dict[str, str] = {}
    for split in ("std", "dev"):
        path = rows.split_file(FIXTURE, split)
        steps = rows.read(path)
        for step, ids in zip(steps, rows.pools(steps, "global123"), strict=True):
            for at in range(0, len(ids), 5):
                shown = page.render(rows.page(path, step.n), ids[at : at + 5])
                found[f"{split}/{step.id}/{at}"] = digest(shown)
    assert found == {name: known for name, known in GOLDEN.items() if name.startswith(("std/", "dev/"))}


@pytest.mark.mirror
def test_the_question_is_upstreams(mirror: Path):
    texts = prompts.load(mirror / "mind2web")
    shown = page.render(*wild(3))
    told = [f"[link]  number {n} -> CLICK" for n in range(7)]
    found = {
        f"question/{name}": texts.question(
            "Find it\nnow", previous, shown.text, [c.text for c in shown.choices]
        )
        for name, previous in (("none", []), ("two", told[:2]), ("seven", told))
    }
    digests = {name: sha256(asked.content.encode()).hexdigest()[:16] for name, asked in found.items()}
    assert digests == {name: known for name, known in GOLDEN.items() if name.startswith("question/")}


def nested(levels: int) -> str:
    e = PageWriter()
    inner = ""
    for level in reversed(range(levels)):
        inner = e("i", inner, name=f"level{level}")
    return e("html", e("div", inner, id="c"))


def table(cells: int) -> str:
    e = PageWriter()
    return e("html", e("table", *(e("td", name=f"cell{n}") for n in range(cells)), id="c"))


def siblings(before: int, after: int) -> str:
    e = PageWriter()
    around = [e("li", name=f"item{n}") for n in range(before + after)]
    return e("html", e("ul", *around[:before], e("li", id="c"), *around[before:]))


def wrapped(children: int) -> str:
    e = PageWriter()
    return e("html", e("div", e("div", *(e("b", id=f"c{n}") for n in range(children)))))


def words(number: int, letter: str = "w") -> str:
    return " ".join(f"{letter}{n}" for n in range(number))


def attribute(**values: str) -> str:
    e = PageWriter()
    return e("html", e("a", id="c", **values))


def text(number: int) -> str:
    e = PageWriter()
    return e("html", e("p", text=words(number), id="c"))


def levels(number: int) -> str:
    opened = "".join(f"<i level{n}>" for n in range(number - 1))
    return f"<html><div id=0>{opened}<i level{number - 1}/>{'</i>' * (number - 1)}</div></html>"


TEXT_20 = f"<html><p id=0>{words(20)}</p></html>"
CAPS = {
    "depth": ("MAX_DEPTH", nested(7), levels(6)),
    "descendants": ("MAX_DESCENDANTS", table(51), "".join(f"<td cell{n}/>" for n in range(50))),
    "siblings": (
        "MAX_SIBLINGS",
        siblings(4, 4),
        "<html><ul><li item1/><li item2/><li item3/><li id=0/><li item4/><li item5/><li item6/></ul></html>",
    ),
    "text words": ("TEXT_WORDS", text(21), TEXT_20),
    "attribute words": (
        "TEXT_WORDS",
        attribute(
            role=words(5), type=words(5, "x"), alt=words(5, "y"), title=words(5, "z"), name=words(5, "a")
        ),
        f"<a id=0 {words(5)} {words(5, 'x')} {words(5, 'y')} {words(5, 'z')}/>",
    ),
    "words of a value": ("VALUE_WORDS", attribute(title=words(6)), f"<a id=0 {words(5)}/>"),
    "letters of a word": ("LONG_WORD", attribute(title=f"{'a' * 14} {'b' * 15}"), f"<a id=0 {'a' * 14}/>"),
    "choice": ("CHOICE_WORDS", text(20), TEXT_20),
}


def shown(name: str) -> page.RenderedPage:
    return page.render(CAPS[name][1], ["c"])


@pytest.mark.parametrize("name", CAPS)
def test_a_cap_cuts_at_its_edge(name: str):
    assert CAPS[name][2].replace("/>", " />") in shown(name).text


@pytest.mark.parametrize("change", [-1, 1])
@pytest.mark.parametrize("name", CAPS)
def test_a_cap_that_is_off_by_one_shows(name: str, change: int, monkeypatch: pytest.MonkeyPatch):
    right = shown(name)
    constant = CAPS[name][0]
    monkeypatch.setattr(page, constant, getattr(page, constant) + change)
    assert shown(name) != right


def test_a_choice_is_ten_words_of_its_own_markup_with_blanks_only_where_the_page_has_them():
    assert shown("choice").choices == [("c", "<p id=0>w0 w1 w2 w3 w4 w5 w6 w7 w8")]
    spread = page.render(pretty(CAPS["choice"][1]), ["c"])
    assert spread.choices == [("c", "<p id=0> w0 w1 w2 w3 w4 w5 w6 w7")]


@pytest.mark.parametrize(
    ("children", "text"),
    [
        (1, "<html><b id=0 /></html>"),
        (2, "<html><div><b id=0 /><b id=1 /></div></html>"),
    ],
)
def test_a_wrapper_of_one_is_spliced_out(children: int, text: str):
    assert page.render(wrapped(children), [f"c{n}" for n in range(children)]).text == text


def test_values_that_say_nothing_are_left_out_and_repeated_ones_shown_once():
    values = {"role": "None", "type": "text", "alt": "HTTPS://a b", "label": "Text", "title": "undefined"}
    assert (
        page.render(attribute(**values, name="hidden", value="null"), ["c"]).text
        == "<html><a id=0 text /></html>"
    )


def test_entities_are_undone_in_order():
    markup = PageWriter()("p", text="&lt; &amp;lt; &amp;amp;lt; &amp;quot; &amp;nbsp;| &quot;", id="c")
    assert page.render(markup, ["c"]).text == "<p id=0>< < &amp;lt; &quot; | </p>"


DOUBLED = "".join(f"<!ENTITY e{n + 1} '&e{n};&e{n};'>" for n in range(40))
SPOILT = {
    "an entity that is not defined": ("<a backend_node_id='c'>&nbsp;</a>", "well-formed"),
    "an element that is not closed": ("<a backend_node_id='c'>SECRET", "well-formed"),
    "nothing": ("", "well-formed"),
    "no such element": ("<a backend_node_id='d'/>", "no element c"),
    "a text as a candidate": ("<a><text backend_node_id='c'>x</text></a>", "no element c"),
    "entities of its own": (
        '<!DOCTYPE a [<!ENTITY x "SECRET">]><a backend_node_id="c">&x;</a>',
        "document type",
    ),
    "bombs": (
        f"<!DOCTYPE a [<!ENTITY e0 'x'>{DOUBLED}]><a backend_node_id='c'>&e40;</a>",
        "document type|well-formed",
    ),
    "a file outside": (
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a backend_node_id="c">&x;</a>',
        "document type",
    ),
    "deep nesting": ("<a>" * 100_000 + "</a>" * 100_000, "well-formed"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_page_that_cannot_be_shown_is_refused_without_quoting_it(name: str):
    markup, words = SPOILT[name]
    with pytest.raises(DataError, match=words) as refused:
        page.render(markup, ["c"])
    assert "SECRET" not in str(refused.value)


def test_a_page_of_200000_nodes_is_cut_like_any_other():
    items = "".join(f"<i backend_node_id='{n}'/>" for n in range(200_000))
    shown = page.render(f"<html backend_node_id='h'>{items}</html>", ["7", "199999"])
    assert [choice.id for choice in shown.choices] == ["7", "199999"]
    assert shown.text.count("<i") == 2
