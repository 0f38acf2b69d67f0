"""Sites by name, and shards that never put one site on two machines."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import MissingPart
from harness.running.sites import part, site_name, with_site_names
from harness.types import Sample


@pytest.mark.parametrize(
    "address",
    [
        "http://localhost",
        "http://LOCALHOST/",
        "http://127.0.0.1:80",
        "http://127.1.2.3/",
        "http://[::1]:80/",
        "http://0.0.0.0",
        "http://shop.localhost:80",
    ],
)
def test_one_site_has_one_name(address: str):
    assert site_name(f"site:{address}") == "site:http://localhost"


def test_different_sites_keep_different_names():
    addresses = (
        "http://localhost:7770",
        "http://localhost:7780/admin",
        "http://localhost:7780",
        "http://a.b",
    )
    assert [site_name(f"site:{one}") for one in addresses] == [f"site:{one}" for one in addresses]
    assert site_name("site:https://localhost:443/x/") == "site:https://localhost/x"
    assert site_name("site:https://a.b:80") != site_name("site:http://a.b:80")


@pytest.mark.parametrize(
    "name", ["table:http://localhost/", "site:none", "site:http://[bad", "site:http://h:x"]
)
def test_what_is_no_address_stays_as_it_is(name: str):
    assert site_name(name) == name


def test_samples_get_the_one_name():
    sample = Sample("0", locks=("site:http://127.0.0.1:7770/", "table:a"), shares=("site:http://[::1]:1",))
    named = with_site_names(sample)
    assert named.locks == ("site:http://localhost:7770", "table:a")
    assert named.shares == ("site:http://localhost:1",)
    assert with_site_names(named) is named


def stands(count: int, *names: str, start: int = 0, shared: bool = False) -> list[Sample]:
    """So many samples that need some sites."""
    sites = tuple(f"site:http://{name}" for name in names)
    return [
        Sample(f"{start + n}", locks=() if shared else sites, shares=sites if shared else ())
        for n in range(count)
    ]


def test_samples_without_sites_are_dealt_out_in_turn():
    whole = [Sample(str(n), locks=("table:one",)) for n in range(10)]
    for index in (1, 2, 3):
        assert part(whole, (index, 3)) == whole[index - 1 :: 3]
    assert part(whole, None) == whole
    assert part(whole[:2], (3, 3)) == []


def test_a_site_is_in_one_shard_alone_and_those_that_tasks_join_are_in_one():
    shop, admin = stands(5, "shop"), stands(4, "admin", start=10)
    reads, both = stands(2, "forum", start=20, shared=True), stands(1, "shop", "forum", start=30)
    free = [Sample(str(40 + n)) for n in range(6)]
    whole = [*shop, *admin, *reads, *both, *free]
    first, second = part(whole, (1, 2)), part(whole, (2, 2))
    assert {one.id for one in first if one not in free} == {one.id for one in (*shop, *reads, *both)}
    assert {one.id for one in second if one not in free} == {one.id for one in admin}
    assert len(first) == len(second) == 9, "what needs no site evens them out"


def test_more_shards_than_groups_of_sites_are_refused_with_the_way():
    whole = [*stands(3, "shop"), *stands(3, "admin", start=10), Sample("20")]
    for index in (1, 2, 3):
        with pytest.raises(MissingPart) as refused:
            part(whole, (index, 3))
        assert "\n" not in str(refused.value)
        assert f"--shard {index}/3 would" in str(refused.value) and "--shard i/2" in str(refused.value)
    with pytest.raises(MissingPart, match=r"1 part at most.* with no --shard"):
        part(stands(3, "shop"), (1, 2))


NEEDS = st.lists(st.sets(st.integers(0, 6), max_size=2), max_size=40)


@given(NEEDS, st.integers(1, 4))
def test_shards_are_disjoint_whole_in_order_and_share_no_site(needs: list[set[int]], count: int):
    whole = [Sample(str(n), locks=tuple(f"site:http://s{m}" for m in sorted(s))) for n, s in enumerate(needs)]
    try:
        parts = [part(whole, (index, count)) for index in range(1, count + 1)]
    except MissingPart:
        return
    assert sorted((one for each in parts for one in each), key=lambda one: int(one.id)) == whole
    for each in parts:
        assert [int(one.id) for one in each] == sorted(int(one.id) for one in each)
    sites = [{name for one in each for name in one.locks} for each in parts]
    assert not any(one & other for one, other in itertools.combinations(sites, 2))
