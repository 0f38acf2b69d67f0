"""WebShop's shop: reading a reply, and what every page says and offers."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from webshop_shelf import product, visit

from tasks.webshop import action
from tasks.webshop.shop import Page

UPSTREAM = {
    "agenttuning": r"[Aa]ction: *\n *((search|click)\[.+?])",
    "agentbench-v0.2": r"[Aa]ction: *\n* *((search|click)\[.+?])",
}


# Reading a reply


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.sampled_from(["Action:", "action:", " ", "\n", "search[", "click[", "[", "]", "a", "B c", "é"])
    ).map("".join)
)
def test_an_action_is_what_upstreams_patterns_find(text: str):
    for parser, pattern in UPSTREAM.items():
        found, ours = re.search(pattern, text), action.parse(text, parser)
        assert (ours and ours.text) == (found and found[1])
        if found and ours:
            again = re.match(r"(.+)\[(.+)\]", found[1])
            assert again and (ours.verb, ours.argument) == (again[1], again[2].lower())


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("Action:\nclick[Buy Now]", "buy now", "buy now"),
        ("Action: click[Buy Now]", None, "buy now"),
        ("Action:\n\nclick[Buy Now]", None, "buy now"),
        ("Action:  \n  search[a] and b]", "a", "a"),
        ("Action:\nsearch[]", None, None),
        ("Action:\nsearch[a\nb]", None, None),
        ("click[x]", None, None),
    ],
)
def test_the_line_break_after_the_label(text: str, old: str | None, new: str | None):
    found = [action.parse(text, parser) for parser in UPSTREAM]
    assert [one and one.argument for one in found] == [old, new]


# The shop's pages


def test_every_pages_text_and_buttons():
    one = visit(product())
    assert one.text() == "WebShop [SEP] Instruction: [SEP] buy a cup [SEP] Search"
    assert one.available() == "{'has_search_bar': True, 'clickables': ['search']}"
    one.search([0])
    assert one.text() == (
        "Instruction: [SEP] buy a cup [SEP] Back to Search [SEP] Page 1 (Total results: 1) [SEP] Next >"
        " [SEP] A1 [SEP] Red Cup [SEP] $9.0"
    )
    assert one.available() == "{'has_search_bar': False, 'clickables': ['back to search', 'next >', 'a1']}"
    assert one.click("a1")
    head = "Instruction: [SEP] buy a cup [SEP] Back to Search [SEP] < Prev"
    assert one.text() == (
        f"{head} [SEP] color [SEP] red [SEP] one [SEP] size [SEP] one [SEP] two [SEP] Red Cup"
        " [SEP] Price: $9.0 [SEP] Rating: N.A. [SEP] Description [SEP] Features [SEP] Reviews [SEP] Buy Now"
    )
    buttons = ["back to search", "< prev", "description", "features", "reviews", "buy now"]
    assert one.clickables() == [*buttons, "red", "one", "two"]
    shown = {"description": " [SEP] A cup.", "features": " [SEP] one [SEP]  [SEP] two\tthree", "reviews": ""}
    for label, rest in shown.items():
        assert one.click(label) and one.text() == head + rest
        assert one.clickables() == ["back to search", "< prev"]
        assert one.click("< prev") and one.page is Page.ITEM


@pytest.mark.parametrize(
    ("text", "segments"),
    [("", []), (" ", [""]), ("\t", [""]), ("\n ", []), ("\xa0", [""]), (" a\n\tb ", ["a\n\tb"])],
)
def test_what_the_page_makes_of_blanks(text: str, segments: list[str]):
    one = visit(product(description=text))
    one.search([0])
    one.click("a1")
    one.click("description")
    assert one.text().split(" [SEP] ")[4:] == segments


def test_options_are_kept_until_the_product_is_left():
    one = visit(product(), product(asin="B2"))
    one.search([0, 1])
    one.click("a1")
    before = one.text()
    assert one.click("red") and one.click("one") and one.text() == before, "a choice is not shown"
    assert one.options == {"color": "red", "size": "one"}, "a value of two groups belongs to the last"
    assert one.click("two") and one.options["size"] == "two"
    one.click("features")
    one.click("< prev")
    assert one.options == {"color": "red", "size": "two"}
    one.click("< prev")
    assert (one.page, one.options, one.doc) == (Page.RESULTS, {}, None)
    one.click("b2")
    one.click("red")
    one.search([0])
    assert (one.page, one.options) == (Page.RESULTS, {}), "a search works on every page"
    one.click("back to search")
    assert (one.page, one.hits) == (Page.START, ())


def test_pages_of_results_go_on_beyond_the_last():
    one = visit(*(product(asin=f"A{n}") for n in range(12)))
    one.search(list(range(12)))
    assert len(one.shown()) == 10 and "< prev" not in one.clickables()
    for number, count in ((2, 2), (3, 0), (4, 0)):
        assert one.click("next >") and (one.number, len(one.shown())) == (number, count)
        assert "Total results: 12" in one.text() and "< prev" in one.clickables()
    for _ in range(2):
        one.click("< prev")
    one.click("a10")
    one.click("< prev")
    assert one.number == 2
    one.search([])
    assert one.text().endswith("Page 1 (Total results: 0) [SEP] Next >")


@pytest.mark.parametrize("label", ["search", "buy now", "a1", "", "red"])
def test_what_the_page_does_not_offer_changes_nothing(label: str):
    one = visit(product())
    before = one.text()
    assert not one.click(label)
    assert one.text() == before


def test_a_value_that_is_called_like_a_button_is_the_value():
    one = visit(product(options=(("kind", ("features", "reviews")),)))
    one.search([0])
    one.click("a1")
    one.click("reviews")
    assert (one.page, one.options) == (Page.ITEM, {"kind": "reviews"})
