"""A shop of a few products made for one test."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.webshop import rows
from tasks.webshop.shop import Visit


def product(**fields: object) -> rows.ShopProduct:
    given: dict[str, object] = {
        "asin": "A1",
        "title": "Red Cup",
        "description": "A cup.",
        "bullets": ("one", " ", "two\tthree"),
        "tag": "$9.0",
        "prices": (9.0,),
        "options": (("color", ("red", "one")), ("size", ("one", "two"))),
        "attributes": (),
        "query": "cups",
        "category": "garden",
        "path": "a",
    }
    return rows.ShopProduct(**{**given, **fields})  # type: ignore[arg-type]


class Shelf:
    """Products by number."""

    def __init__(self, products: Sequence[rows.ShopProduct]) -> None:
        self.products = products

    def product(self, doc: int) -> rows.ShopProduct:
        return self.products[doc]


def visit(*products: rows.ShopProduct) -> Visit:
    return Visit(Shelf(products), "buy a cup")
