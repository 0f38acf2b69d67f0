"""Scripts for buttons, lists, boxes, menus, tabs and dialogs."""

from __future__ import annotations

import re
from functools import cache

from tasks.miniwob import pages
from tasks.miniwob.policies.sight import SUBMIT, PageContent, Policy, by_id, click, quoted


def press_button(sight: PageContent) -> Policy:
    label = sight.said('"(.*)" button')[0]
    yield click(f"//button[text()={quoted(label)}]")


def first_button(sight: PageContent) -> Policy:
    del sight
    yield by_id("subbtn")


def two_buttons(sight: PageContent) -> Policy:
    del sight
    yield by_id("subbtn")
    yield by_id("subbtn2")


def choose_list(sight: PageContent) -> Policy:
    item = sight.said("Select (.*) from the list")[0]
    yield click(f"//option[text()={quoted(item)}]")
    yield SUBMIT


def scroll_list(sight: PageContent) -> Policy:
    wanted = ", " + sight.said("Select (.*) from the scroll list")[0] + ","
    for option in sight.find("//option"):
        if f", {option.text}," in wanted:
            yield click(f"//option[text()={quoted(option.text)}]")
    yield SUBMIT


def boxes(sight: PageContent) -> Policy:
    wanted = sight.said(r"Select (.*) and click Submit")[0].split(", ")
    for label in sight.find("//label"):
        if label.text_content() in wanted:
            yield by_id(label.find("input").get("id"))
    yield SUBMIT


def similar_boxes(sight: PageContent) -> Policy:
    wanted = sight.said(r"similar to (.*) and click Submit")[0].split(", ")
    groups = [group for group in synonyms() if group & set(wanted)]
    for label in sight.find("//label"):
        if any(label.text_content() in group for group in groups):
            yield by_id(label.find("input").get("id"))
    yield SUBMIT


@cache
def synonyms() -> tuple[frozenset[str], ...]:
    """The word groups of the page itself."""
    source = pages.location(pages.package_html(), "click-checkboxes-soft").read_text(encoding="utf-8")
    table = source[source.index("var SYNONYMS") : source.index("var createCheckboxes")]
    rows = re.findall(r"\[([^\[\]]+)\]", table)
    return tuple(frozenset(re.findall(r"'([^']+)'", row)) for row in rows)


def widget(sight: PageContent) -> Policy:
    kind = sight.said('on a "(.*)" widget')[0]
    yield click(f'//*[@data-type="{kind}"]')


def menu(sight: PageContent) -> Policy:
    *parents, leaf = sight.said("Select (.*)")[0].split(">")
    for name in parents:
        yield f"movemouse //*[text()={quoted(name)}]"
    yield click(f"//li//div[text()={quoted(leaf)}]")


def collapsible(sight: PageContent) -> Policy:
    del sight
    yield click("//h3")
    yield by_id("subbtn")


def hidden_link(sight: PageContent) -> Policy:
    """Open the section or tab that holds a link, then click the link."""
    text = quoted(sight.said('the link "(.*)"')[0])
    link = next(iter(sight.find(f'//span[@class="alink" and text()={text}]')), None)
    if link is None:
        return
    panel = next(node.get("id") for node in link.iterancestors() if node.get("role") == "tabpanel")
    opener = sight.find(f'//*[@aria-controls="{panel}"]')[0]
    if opener.get("aria-expanded") != "true":
        inner = "/a" if opener.tag == "li" else ""
        yield click(f'//*[@aria-controls="{panel}"]{inner}')
    yield click(f'//*[@id="{panel}"]//span[@class="alink" and text()={text}]')


def link(sight: PageContent) -> Policy:
    words = quoted(sight.said('the link "(.*)"')[0])
    yield click(f'//span[@class="alink" and text()={words}]')


def dialog(sight: PageContent) -> Policy:
    label = sight.said('labeled "(.*)"')[0] or "x"
    if label == "x":
        yield click('//button[contains(@class,"ui-dialog-titlebar-close")]')
    else:
        yield click(f'//button[text()="{label}"]')


def tab(sight: PageContent) -> Policy:
    number = sight.said(r"Tab #(\d)")[0]
    yield click(f'//a[@href="#tabs-{number}"]')
