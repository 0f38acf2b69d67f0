"""A catalogue's products, and the goals that people wrote for them, as its JSON files have them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from harness.errors import DataError

SEED = 233
"""Upstream's seed of the goals' order, and here also of every price that is drawn."""

NO_CAP = 1_000_000.0
"""What a goal without a price limit allows, in dollars."""

STEPS = [10.0 * step for step in range(1, 100)]
"""The limits a price cap is drawn from, in dollars."""

NO_PRICE = 100.0
NO_ATTRIBUTES = ("DUMMY_ATTR",)
LONGEST_ASIN = 10


def drawn_price(prices: Sequence[float], asin: str, seed: int) -> float:
    """A product's price in dollars; within a range it is drawn, from the seed and the asin alone."""
    return prices[0] if len(prices) == 1 else Random(f"{seed}:{asin}").uniform(*prices)


@dataclass(frozen=True, slots=True)
class ShopProduct:
    """One product as the shop shows it.

    Attributes:
        tag: the price as shown.
        prices: in dollars; one, or the two ends of a range.
        options: (group, its values), all in lower case and in the catalogue's order, repetitions kept.
        path: product category, its elements joined by the sign U+203A.
    """

    asin: str
    title: str
    description: str
    bullets: tuple[str, ...]
    tag: str
    prices: tuple[float, ...]
    options: tuple[tuple[str, tuple[str, ...]], ...]
    attributes: tuple[str, ...]
    query: str
    category: str
    path: str

    def price(self, seed: int = SEED) -> float:
        """What it costs, in dollars."""
        return drawn_price(self.prices, self.asin, seed)

    def text(self) -> str:
        """What the search engine indexes."""
        groups = ", and ".join(f"{name}: {', '.join(values)}" for name, values in self.options)
        return " ".join(
            [self.title, self.description, self.bullets[0] if self.bullets else "", groups]
        ).lower()


@dataclass(frozen=True, slots=True)
class ShopGoal:
    """What one person asked for.

    Attributes:
        doc: the product it was written for, counted from zero in the catalogue.
        place: which of the product's instructions it is.
        wish: the instruction without its price clause.
        prices: the product's.
    """

    asin: str
    doc: int
    place: int
    wish: str
    attributes: tuple[str, ...]
    options: tuple[str, ...]
    title: str
    query: str
    path: str
    prices: tuple[float, ...]

    def cap(self, seed: int = SEED) -> float | None:
        """The price limit in dollars, None for no limit; drawn from seed, asin and place alone."""
        price = drawn_price(self.prices, self.asin, seed)
        above = [step for step in STEPS if step > price][:4]
        return max(Random(f"{seed}:{self.asin}:{self.place}").sample(above, 2)) if len(above) > 1 else None

    def instruction(self, seed: int = SEED) -> str:
        """What the model is told to buy."""
        cap = self.cap(seed)
        return self.wish if cap is None else f"{self.wish}, and price lower than {cap:.2f} dollars"


def product(raw: Mapping[str, Any], attributes: Mapping[str, Any]) -> ShopProduct:
    """One object of `items_shuffle*.json`, with its entry of `items_ins_v2*.json`.

    Raises:
        DataError: a field is missing or of another form.
    """
    try:
        tag, prices = _prices(raw.get("pricing"))
        known = attributes.get(raw["asin"], {})
        return ShopProduct(
            asin=_text(raw["asin"]),
            title=_text(raw["name"]),
            description=_text(raw["full_description"]),
            bullets=_texts(raw["small_description"]),
            tag=tag,
            prices=prices,
            options=tuple(_options(raw["customization_options"] or {})),
            attributes=tuple(known["attributes"]) if "attributes" in known else NO_ATTRIBUTES,
            query=_text(raw["query"]).lower().strip(),
            category=_text(raw["category"]),
            path=_text(raw["product_category"]),
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DataError(f"product {raw.get('asin')!r} is not of the documented form: {error!r}") from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(_text, value)) if isinstance(value, list) else (_text(value),)


def _prices(pricing: str | None) -> tuple[str, tuple[float, ...]]:
    if not pricing:
        return f"${NO_PRICE}", (NO_PRICE,)
    found = [float(re.sub(r"[^\d.]", "", piece)) for piece in pricing.split("$")[1:]]
    if len(found) == 1:
        return f"${found[0]}", (found[0],)
    return f"${found[0]} to ${found[1]}", (found[0], found[1])


def _options(groups: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    merged: dict[str, tuple[str, ...]] = {}
    for name, values in groups.items():
        if values is not None:  # a later group whose name differs only in case takes the place of the first
            merged[name.lower()] = tuple(
                value["value"].strip().replace("/", " | ").lower() for value in values
            )
    yield from merged.items()


def accepted(raw: Mapping[str, Any], seen: set[str]) -> bool:
    """Whether upstream's loader takes a product: a known asin, not too long, the first of its kind."""
    asin = raw.get("asin")
    if not isinstance(asin, str) or asin == "nan" or len(asin) > LONGEST_ASIN or asin in seen:
        return False
    seen.add(asin)
    return True


def goals_of(one: ShopProduct, doc: int, instructions: Mapping[str, Any]) -> Iterator[ShopGoal]:
    """The goals people wrote for a product; those without attributes are left out, as upstream does.

    Raises:
        DataError: an instruction is not of the documented form.
    """
    try:
        for place, told in enumerate(instructions.get(one.asin, ())):
            if not told["instruction_attributes"]:
                continue
            yield ShopGoal(
                asin=one.asin,
                doc=doc,
                place=place,
                wish=_text(told["instruction"]).strip("."),
                attributes=tuple(map(_text, told["instruction_attributes"])),
                options=tuple(map(_text, told["instruction_options"])),
                title=one.title,
                query=one.query,
                path=one.path,
                prices=one.prices,
            )
    except (KeyError, TypeError) as error:
        raise DataError(
            f"the instructions of {one.asin!r} are not of the documented form: {error!r}"
        ) from error


def shuffled(goals: Iterable[ShopGoal]) -> Sequence[ShopGoal]:
    """Goals in upstream's order, from those in the catalogue's."""
    ordered = list(goals)
    Random(SEED).shuffle(ordered)
    return ordered
