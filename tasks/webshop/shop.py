"""The shop as one visitor sees it: which page is open, what it says, and what a click does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from tasks.webshop.rows import ShopProduct

WINDOW = 10
"""Products on a page of results."""

SEPARATOR = " [SEP] "
HTML_SPACES = " \n\t\f\r"
BACK, PREVIOUS, NEXT, BUY = "Back to Search", "< Prev", "Next >", "Buy Now"
SUBPAGES = ("Description", "Features", "Reviews")


class Page(Enum):
    """Where the visitor is."""

    START = "start"
    RESULTS = "results"
    ITEM = "item"
    DESCRIPTION = "description"
    FEATURES = "features"
    REVIEWS = "reviews"
    DONE = "done"


class Products(Protocol):
    """What the shop needs of a catalogue."""

    def product(self, doc: int) -> ShopProduct:
        """A product by its number."""
        ...


@dataclass(slots=True)
class Visit:
    """One visitor's state.

    Attributes:
        hits: the products a search found, best first.
        number: of the page of results, from 1.
        doc: the product that is open.
        options: the chosen value of each group; the page does not show it.
    """

    products: Products
    instruction: str
    page: Page = Page.START
    hits: Sequence[int] = ()
    number: int = 1
    doc: int | None = None
    options: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def item(self) -> ShopProduct:
        """The product that is open."""
        assert self.doc is not None
        return self.products.product(self.doc)

    def shown(self) -> list[tuple[int, ShopProduct]]:
        """The products on the page of results; none beyond the last one."""
        docs = self.hits[(self.number - 1) * WINDOW : self.number * WINDOW]
        return [(doc, self.products.product(doc)) for doc in docs]

    def search(self, hits: Sequence[int]) -> None:
        """Show what a search found; possible on every page."""
        self.page, self.hits, self.number, self.doc, self.options = Page.RESULTS, hits, 1, None, {}

    def click(self, label: str) -> bool:
        """Click on what bears a label, in lower case; False and no change when nothing does."""
        if label not in self.clickables() or self.page is Page.START:
            return False
        if self.page is Page.ITEM and self._choose(label):
            return True
        if label == BACK.lower():
            self.page, self.hits, self.number, self.doc, self.options = Page.START, (), 1, None, {}
        elif self.page is Page.RESULTS:
            self._from_results(label)
        elif self.page is Page.ITEM:
            self._from_item(label)
        else:
            self.page = Page.ITEM
        return True

    def _choose(self, label: str) -> bool:
        """Choose an option's value, of the last group that has it."""
        groups = [name for name, values in self.item.options if label in values]
        if groups:
            self.options[groups[-1]] = label
        return bool(groups)

    def _from_results(self, label: str) -> None:
        if label in (NEXT.lower(), PREVIOUS.lower()):
            self.number += 1 if label == NEXT.lower() else -1
            return
        self.doc = next(doc for doc, one in self.shown() if one.asin.lower() == label)
        self.page, self.options = Page.ITEM, {}

    def _from_item(self, label: str) -> None:
        if label == PREVIOUS.lower():
            self.page, self.doc, self.options = Page.RESULTS, None, {}
        else:
            self.page = Page.DONE if label == BUY.lower() else Page(label)

    def clickables(self) -> list[str]:
        """The labels that can be clicked: buttons, products, option values."""
        match self.page:
            case Page.START:
                labels = ["search"]
            case Page.RESULTS:
                buttons = [BACK, *([PREVIOUS] if self.number > 1 else []), NEXT]
                labels = [*buttons, *(one.asin for _, one in self.shown())]
            case Page.ITEM:
                values = (value for _, values in self.item.options for value in values)
                labels = [BACK, PREVIOUS, *SUBPAGES, BUY, *values]
            case Page.DONE:
                labels = []
            case _:
                labels = [BACK, PREVIOUS]
        return list(dict.fromkeys(label.lower() for label in labels))

    def text(self) -> str:
        """The page's visible texts, in one line."""
        texts = (_segment(text) for text in self._texts())
        return SEPARATOR.join(text for text in texts if text is not None)

    def available(self) -> str:
        """What can be done on the page, as Python writes it."""
        return repr({"has_search_bar": self.page is Page.START, "clickables": self.clickables()})

    def _texts(self) -> list[str]:
        head = ["Instruction:", self.instruction]
        match self.page:
            case Page.START:
                return ["WebShop", *head, "Search"]
            case Page.RESULTS:
                count = f"Page {self.number} (Total results: {len(self.hits)})"
                found = [text for _, one in self.shown() for text in (one.asin, one.title, one.tag)]
                return [*head, BACK, count, *([PREVIOUS] if self.number > 1 else []), NEXT, *found]
            case Page.ITEM:
                one = self.item
                groups = [text for name, values in one.options for text in (name, *values)]
                about = [one.title, f"Price: {one.tag}", "Rating: N.A."]
                return [*head, BACK, PREVIOUS, *groups, *about, *SUBPAGES, BUY]
            case Page.DESCRIPTION:
                return [*head, BACK, PREVIOUS, self.item.description]
            case Page.FEATURES:
                # The template puts a blank before each.
                return [*head, BACK, PREVIOUS, *(f" {bullet}" for bullet in self.item.bullets)]
            case _:
                return [*head, BACK, PREVIOUS]


def _segment(text: str) -> str | None:
    """A text as the page's HTML gives it back; None where nothing is left of it."""
    if not text.strip(HTML_SPACES):  # a text of spaces is shown as one line break, or as one space
        return None if not text or "\n" in text else ""
    return text.strip()
