"""Values a purchase: its kind, its attributes, its options and its price against what was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.types import Row, metric_means
from tasks.webshop.fuzz import Ratio
from tasks.webshop.rows import NO_CAP, ShopGoal, ShopProduct

ALIKE = 85
"""Two texts count as the same above this token_set_ratio."""

NO_NOUNS = 0.2
"""The title's score where the goal's title has no noun."""

EXEMPLAR = "13"
"""The test goal that upstream's exemplar plays through."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """What was bought.

    Attributes:
        price: in dollars.
        options: the chosen values.
        nouns: of the title, in lower case.
    """

    product: ShopProduct
    price: float
    options: Sequence[str]
    nouns: Sequence[str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for; `cap` in dollars, None for no limit; `nouns` of the goal's own title."""

    goal: ShopGoal
    cap: float | None
    nouns: Sequence[str]


@dataclass(frozen=True, slots=True)
class ShopRules:
    """How texts are compared: the ratio, and the colour words in the order they are looked for."""

    ratio: Ratio
    colors: Sequence[str]

    def alike(self, one: str, other: str) -> bool:
        """Whether two texts count as the same."""
        return self.ratio(one, other) > ALIKE

    def color(self, text: str) -> str:
        """The first colour word that a text contains in its place; else the text."""
        return next((color for color in self.colors if color in text), text)


def reward(bought: Purchase, wanted: Wanted, rules: ShopRules) -> Mapping[str, float]:
    """All parts of the reward by name; `reward` is the whole, in [0, 1] (WebShop, arXiv:2207.01206, 3.2)."""
    goal, kind = wanted.goal, _kind(bought, wanted)
    attributes = sum(_has(bought.product, attribute, rules) for attribute in goal.attributes)
    values = [rules.color(value) for value in bought.options]
    options = sum(any(rules.alike(value, rules.color(option)) for value in values) for option in goal.options)
    price = float(bought.price <= (NO_CAP if wanted.cap is None else wanted.cap))
    whole = (attributes + options + price) / (len(goal.attributes) + len(goal.options) + 1)
    parts = {
        "reward": kind["r_type"] * whole,
        "r_att": attributes / len(goal.attributes),
        "r_price": price,
        **kind,
    }
    return parts | ({"r_option": options / len(goal.options)} if goal.options else {})


def _kind(bought: Purchase, wanted: Wanted) -> Mapping[str, float]:
    """Whether the product is of the right kind.

    A title's score counts the common nouns once each, but the goal's as often as they occur, so that it is
    below 1 for the right product too where its title repeats a noun.
    """
    goal = wanted.goal
    same_query = bought.product.query == goal.query
    same_path = len(_elements(bought.product.path) & _elements(goal.path)) >= 2
    common = len(set(bought.nouns) & set(wanted.nouns))
    title = common / len(wanted.nouns) if wanted.nouns else NO_NOUNS
    if title < 0.1:  # neither query nor category make up for it
        value = 0.1 if title else 0.0
    else:
        value = 1.0 if same_query or same_path or title > NO_NOUNS else 0.5
    return {
        "r_type": value,
        "title_score": title,
        "query_match": float(same_query),
        "category_match": float(same_path),
    }


def _elements(path: str) -> set[str]:
    return {element.strip() for element in path.split("\u203a")}


def _has(product: ShopProduct, attribute: str, rules: ShopRules) -> bool:
    return any(rules.alike(known, attribute) for known in product.attributes) or any(
        attribute in text.lower() for text in (product.title, " ".join(product.bullets), product.description)
    )


def aggregate(rows: Sequence[Row], headline: float) -> Mapping[str, float]:
    """The headline, each metric's mean, and the reward without the goal that the exemplar shows."""
    others = [row.value for row in rows if row.sample != EXEMPLAR]
    without = {"reward_excl_exemplar": sum(others) / len(others)} if others else {}
    return {**metric_means(rows), **without, "reward": headline}
