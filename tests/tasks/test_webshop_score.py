"""WebShop's reward against its formulas."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from webshop_shelf import product

from harness.types import Row
from tasks.webshop import score
from tasks.webshop.fuzz import token_set_ratio
from tasks.webshop.rows import ShopGoal
from tasks.webshop.task import TASK

RULES = score.ShopRules(token_set_ratio, ("green", "red", "tan"))


def goal(
    attributes: Sequence[str] = ("easy clean",), options: Sequence[str] = (), **fields: object
) -> ShopGoal:
    given = {"asin": "A1", "doc": 0, "place": 0, "wish": "", "title": "Red Cup", "query": "cups", "path": "a"}
    return ShopGoal(
        **{**given, "prices": (9.0,), **fields},  # type: ignore[arg-type]
        attributes=tuple(attributes),
        options=tuple(options),
    )


def reward(wanted: ShopGoal, chosen: Sequence[str] = (), **given: object) -> dict[str, float]:
    """The parts for a product with `fields`, bought at `price`, both titles' nouns as given."""
    one = product(**dict(given.get("fields", {})))  # type: ignore[call-overload]
    mine, theirs = given.get("nouns", (("cup",), ("cup",)))  # type: ignore[misc]
    bought = score.Purchase(one, float(given.get("price", 9.0)), chosen, mine)  # type: ignore[arg-type]
    return dict(score.reward(bought, score.Wanted(wanted, given.get("cap", 20.0), theirs), RULES))  # type: ignore[arg-type]


# The whole


@given(st.integers(1, 4), st.integers(0, 4), st.data())
def test_the_reward_is_the_share_of_what_was_asked_for(attributes: int, options: int, data: st.DataObject):
    met = data.draw(st.integers(0, attributes))
    chosen = data.draw(st.integers(0, options))
    cheap = data.draw(st.booleans())
    wanted = goal(
        [f"quality {'abcd'[n] * 9}" for n in range(attributes)],
        [f"value {'efgh'[n] * 9}" for n in range(options)],
    )
    parts = reward(
        wanted,
        wanted.options[:chosen],
        fields={"attributes": wanted.attributes[:met]},
        price=5.0 if cheap else 25.0,
    )
    assert parts["reward"] == pytest.approx((met + chosen + cheap) / (attributes + options + 1))
    assert parts["r_att"] == met / attributes and parts["r_price"] == cheap
    assert parts.get("r_option") == (chosen / options if options else None)


@pytest.mark.parametrize(
    ("mine", "theirs", "fields", "r_type", "title"),
    [
        (("cup",), ("cup", "cup", "set"), {}, 1.0, 1 / 3),
        (("cup",), (), {}, 1.0, 0.2),
        (("cup",), (), {"query": "x", "path": "b"}, 0.5, 0.2),
        (("cup",), ("a", "b", "c", "cup"), {"query": "x"}, 1.0, 0.25),
        (("cup",), ("a", "b", "c", "d", "cup"), {"query": "x"}, 0.5, 0.2),
        (("cup",), ("a", "b", "c", "d", "cup"), {"query": "x", "path": "k \u203a l"}, 1.0, 0.2),
        (("cup",), ("a", "b", "c", "d", "cup"), {"query": "x", "path": "l"}, 0.5, 0.2),
        (("cup",), (*"abcdefghij", "cup"), {}, 0.1, 1 / 11),
        (("cup",), ("jar",), {}, 0.0, 0.0),
    ],
)
def test_the_kind_of_product(mine, theirs, fields, r_type, title):
    parts = reward(goal(path="k \u203a l"), nouns=(mine, theirs), fields=fields)
    assert (parts["r_type"], parts["title_score"]) == (r_type, pytest.approx(title))


@pytest.mark.parametrize(
    ("attribute", "fields", "has"),
    [
        ("easy clean", {"attributes": ("clean easy",)}, 1),
        ("red cup", {}, 1),
        ("Red cup", {}, 0),  # the asked-for text keeps its case, the product's loses it
        ("one  ", {"bullets": ("One", "", "x")}, 1),
        ("a cup.", {}, 1),
        ("wooden", {}, 0),
    ],
)
def test_an_attribute_may_stand_in_the_texts(attribute, fields, has):
    assert reward(goal([attribute]), fields=fields)["r_att"] == has


@pytest.mark.parametrize(
    ("option", "chosen", "has"),
    [
        ("light green", "forest green", 1),
        ("titanium", "tan", 1),  # "tan" is a colour word, and stands in ti-tan-ium
        ("60x40x40cm", "40x40x40cm", 1),
        ("pack of 2", "2 pack", 1),
        ("large", "large | wide", 1),
        ("large", "small", 0),
    ],
)
def test_options_are_compared_by_colour_and_words(option, chosen, has):
    assert reward(goal(options=[option]), [chosen])["r_option"] == has


def test_the_cap_itself_is_not_too_dear():
    assert [reward(goal(), price=price)["r_price"] for price in (20.0, 20.01)] == [1.0, 0.0]
    assert reward(goal(), price=999_999.0, cap=None)["r_price"] == 1.0


@pytest.mark.parametrize(
    ("price", "caps"),
    [
        (9.5, {20, 30, 40}),
        (10.0, {30, 40, 50}),
        (964.0, {980, 990}),
        (975.0, {990}),
        (980.0, {None}),
        (2000.0, {None}),
    ],
)
def test_a_cap_is_the_larger_of_two_of_the_next_four_steps(price, caps):
    drawn = {goal(prices=(price,), place=place).cap() for place in range(80)}
    assert drawn == caps


def test_a_range_has_one_price_for_offer_and_cap():
    one = product(prices=(10.0, 500.0))
    price = one.price()
    assert 10 < price < 500 and price == one.price() != one.price(7)
    assert all((goal(prices=one.prices, place=n).cap() or 0) > price for n in range(20))


def test_the_exemplars_goal_is_also_left_out():
    rows = [Row(str(n), 0, "scored", value, {"turns": 2.0}) for n, value in ((12, 0.5), (13, 1.0), (14, 0.0))]
    found = TASK.aggregate(rows)
    assert found == {"reward": 0.5, "reward_excl_exemplar": 0.25, "turns": 2.0}
    assert TASK.aggregate(rows[1:2]) == {"reward": 1.0, "turns": 2.0}
