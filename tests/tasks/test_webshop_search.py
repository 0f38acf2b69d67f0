"""WebShop's search against Lucene's own results, and its parts against what Lucene's source says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from harness.data import task_folder
from tasks.webshop.analysis import terms
from tasks.webshop.catalogue import ShopCatalogue, open_catalogue
from tasks.webshop.index import byte_length, length_byte

FIXTURE = task_folder("webshop") / "fixture"
LUCENE = Path(__file__).with_name("webshop_lucene.json")
"""Hashes of Lucene's lists of asins, by query, in the order of first occurrence in goal_query_map.json."""


@pytest.fixture(scope="module")
def small(mirror: Path) -> ShopCatalogue:
    return open_catalogue(mirror / "webshop", "small")


@pytest.fixture(scope="module")
def fixture() -> ShopCatalogue:
    return open_catalogue(FIXTURE, "full")


def asins(shop: ShopCatalogue, query: str) -> list[str]:
    return [shop.product(doc).asin for doc in shop.search(query)]


def test_all_2134_human_queries_find_what_lucene_finds(small: ShopCatalogue, mirror: Path):
    lucene = json.loads(LUCENE.read_text())
    by_goal = json.loads((mirror / "webshop/WebShop/baseline_models/data/goal_query_map.json").read_text())
    queries = list(dict.fromkeys(query.lower() for found in by_goal.values() for query in found))
    assert hashlib.sha256("\n".join(queries).encode()).hexdigest() == lucene["queries"]
    found = [asins(small, query) for query in queries]
    hashes = [hashlib.sha256("\n".join(one).encode()).hexdigest()[:8] for one in found]
    assert len(hashes) == lucene["count"] == 2134 and sum(map(len, found)) == lucene["hits"]
    assert [
        query for query, one, theirs in zip(queries, hashes, lucene["lists"], strict=True) if one != theirs
    ] == []


def test_the_documents_are_those_of_lucenes_index(small: ShopCatalogue, mirror: Path):
    lines = (mirror / "webshop/reconstructed/documents_1k.jsonl").read_text(encoding="utf-8").splitlines()
    documents = [json.loads(line) for line in lines]
    assert len(small) == len(documents) == 1000
    shown = [small.product(doc) for doc in range(1000)]
    assert [one.asin for one in shown] == [document["id"] for document in documents]
    assert [one.text() for one in shown] == [document["contents"] for document in documents]
    assert small.manifest["tokens"] == 107_608, "as many as Lucene's analyser makes of them"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The women's Shoes, sizes 7.5", "women shoe size 7.5"),
        ("description:solid wood", "description:solid wood"),
        ("60x40x40cm 1,000 1. 2", "60x40x40cm 1,000 1 2"),
        ("x-large_fit it's its us technology", "x large_fit it us technolog"),
        ("_ __ a_ ...", "a_"),
        ("dogs’ dog’s DOG＇S", "dog dog dog"),  # noqa: RUF001
        ("★ bright ★ 👍🏽 ☛ ©", "★ bright ★ 👍🏽 ☛ ©"),
        ("naïve café über", "naïv café über"),
        ("漢字カナ ひらがな", "漢 字 カナ ひ ら が な"),
        ("x" * 300, f"{'x' * 255} {'x' * 45}"),
        ("a\u00a0b\u202fc", "b\u202fc"),
        ("1:2 a,b a.b 1.a e.g. 5'2 10% #1 c++ 1;2", "1 2 b a.b 1 e.g 5'2 10 1 c 1;2"),
        ("🇫🇷🇩🇪 ©️ 1️⃣ ™ ไทย ab\u00adcd", "🇫🇷 🇩🇪 ©️ 1️⃣ ™ ไทย ab\u00adcd"),
    ],
)
def test_terms_are_those_of_lucenes_analyser(text: str, found: str):
    assert " ".join(terms(text)) == found


def test_lengths_are_kept_in_one_byte():
    assert [length_byte(n) for n in (0, 23, 24, 39, 40, 41, 42, 2_147_483_647)] == [
        0,
        23,
        24,
        39,
        40,
        40,
        41,
        255,
    ]
    codes = [length_byte(n) for n in range(5000)]
    assert codes == sorted(codes) and all(byte_length(code) <= n for n, code in enumerate(codes))
    assert [length_byte(byte_length(code)) for code in range(256)] == list(range(256))
    assert [byte_length(length_byte(n)) for n in (39, 41, 100, 1000)] == [39, 40, 96, 984]


def test_equal_scores_stand_in_the_order_of_asins(fixture: ShopCatalogue):
    assert asins(fixture, "twin crate")[:2] == ["F000000050", "F000000051"]
    scores = [fixture.product(doc) for doc in fixture.search("fable")]
    assert len(scores) == 50 < len(fixture), "at most fifty, of more that match"


def test_only_what_has_a_word_in_common_is_found(fixture: ShopCatalogue):
    for query in ("", "the", "zzz", "\x00", "[", "\ud800"):
        assert fixture.search(query) == ()
    first = [
        fixture.product(fixture.search(query)[0]).title for query in ("crate crate coat", "crate coat coat")
    ]
    assert "Crate" in first[0] and "Coat" in first[1], "a word said twice counts twice"


def test_the_formula_by_hand(fixture: ShopCatalogue):
    """A query of one word in few documents: Lucene's idf times tf over tf and the scaled byte length."""
    found = fixture.search("braided")
    texts = [list(terms(fixture.product(doc).text())) for doc in range(len(fixture))]
    assert list(found) == [doc for doc, text in enumerate(texts) if "braid" in text]
    average = np.mean([len(text) for text in texts])
    wanted = sorted(
        (n for n, text in enumerate(texts) if "crate" in text),
        key=lambda n: (
            -texts[n].count("crate")
            / (
                texts[n].count("crate")
                + 0.9 * (0.6 + 0.4 * byte_length(length_byte(len(texts[n]))) / average)
            ),
            fixture.product(n).asin,
        ),
    )
    assert list(fixture.search("crate")) == wanted
