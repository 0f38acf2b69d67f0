"""How WebShop's reward compares two texts, and who finds a title's nouns."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from random import Random

import pytest
from contexts import task_context
from packages import install

from harness.data import task_folder
from harness.errors import MissingPart
from tasks.webshop import colors, nouns, prepare
from tasks.webshop.catalogue import open_catalogue
from tasks.webshop.fuzz import token_set_ratio
from tasks.webshop.task import TASK

FIXTURE = task_folder("webshop") / "fixture"


# Comparing texts


def reference(one: str, other: str) -> int:
    """thefuzz 0.19's token_set_ratio, step by step, with the standard library alone."""

    def processed(text: str) -> str:
        ascii_only = "".join(char for char in text if not 128 <= ord(char) <= 255)
        return re.sub(r"(?u)\W", " ", ascii_only).lower().strip()

    def ratio(a: str, b: str) -> int:
        if a == b:
            return 100 if a else 0
        return int(round(100 * SequenceMatcher(None, a, b).ratio())) if a and b else 0  # noqa: RUF046

    a, b = processed(one), processed(other)
    if not (a and b):
        return 0
    words_a, words_b = set(a.split()), set(b.split())
    both = " ".join(sorted(words_a & words_b)).strip()
    with_a = (both + " " + " ".join(sorted(words_a - words_b))).strip()
    with_b = (both + " " + " ".join(sorted(words_b - words_a))).strip()
    return max(ratio(both, with_a), ratio(both, with_b), ratio(with_a, with_b))


def test_token_set_ratio_is_thefuzz_on_20_000_pairs():
    rng = Random(1)
    words = [
        "red",
        "light",
        "green",
        "x-large",
        "2 pack",
        "40x40",
        "é",
        "naïve",
        "_",
        "\xa0",
        "100%",
        "ﬁn",
        "",
        "A",
        "日本",
    ]
    for _ in range(20_000):
        one, other = (" ".join(rng.choices(words, k=rng.randint(0, 4))) for _ in range(2))
        assert token_set_ratio(one, other) == reference(one, other), (one, other)


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [
        ("a b", "b a", 100),
        ("", "a", 0),
        ("large", "large | wide", 100),
        ("60x40x40cm", "40x40x40cm", 90),
        ("abc", "xyz", 0),
    ],
)
def test_worked_ratios(one, other, ratio):
    assert token_set_ratio(one, other) == ratio


def test_rapidfuzz_is_refused_where_it_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    ctx = task_context(TASK, FIXTURE, tmp_path, source="fixture", fuzz="rapidfuzz")
    lacks = {need.name: need.missing() for need in TASK.needs(ctx)}
    assert "webshop.fuzz=rapidfuzz" in str(lacks["python package rapidfuzz"])


def test_colours_without_upstreams_list_are_a_stand_in(tmp_path):
    assert colors.load(tmp_path) == (colors.STAND_IN, False)
    assert list(colors.STAND_IN) == sorted(set(colors.STAND_IN))


# Nouns


@pytest.fixture
def model(tmp_path, monkeypatch):
    """Installs a spaCy model of our own: a word in capitals is a noun, another is none."""
    spacy = pytest.importorskip("spacy")
    tagger = spacy.blank("en")
    ruler = tagger.add_pipe("attribute_ruler")
    ruler.add([[{"IS_ALPHA": True}]], {"POS": "ADJ"})
    ruler.add([[{"IS_TITLE": True}]], {"POS": "PROPN"})
    tagger.to_disk(tmp_path / "model")
    code = f"import spacy\ndef load(**kw):\n    return spacy.load({str(tmp_path / 'model')!r}, **kw)\n"
    install(
        tmp_path / "site",
        "en_core_web_toy",
        {"__init__.py": code},
        {"spacy_models": {"en_core_web_toy": "en_core_web_toy"}},
    )
    monkeypatch.syspath_prepend(tmp_path / "site")
    return "en_core_web_toy"


def test_without_a_model_only_the_rule_is_there(tmp_path):
    assert nouns.choose("auto", tmp_path).of(0, "Red Cup of 3 the Cups") == ("cup", "cups")
    for option, words in (("table", "nouns.json is not there"), ("spacy", "no spaCy model")):
        with pytest.raises(MissingPart, match=words):
            nouns.choose(option, tmp_path)


def test_table_and_live_tagger_of_one_model_agree(model, tmp_path):
    shop = open_catalogue(FIXTURE, "full")
    live = nouns.choose("auto", tmp_path)
    assert (live.model, live.name) == (model, f"spacy {model} 1.0")
    told: list[int] = []
    made = prepare.write_nouns(shop.folder, tmp_path / "table", lambda done, total, what: told.append(done))
    assert [path.name for path in made] == ["nouns.jsonl", "nouns.offsets.npy", "nouns.json"]
    table = nouns.choose("auto", tmp_path / "table")
    assert table.name == f"table of {model} 1.0" and len(table.digest) == 64
    titles = [shop.product(doc).title for doc in range(len(shop))]
    assert [table.of(n, "") for n in range(len(titles))] == [live.of(n, t) for n, t in enumerate(titles)]
    assert table.of(0, "") == ("woven", "basket", "number", "fable")


def test_a_table_that_was_cut_off_goes_on(model, tmp_path):
    shop = open_catalogue(FIXTURE, "full")
    whole = prepare.write_nouns(shop.folder, tmp_path / "a", lambda *_: None)
    lines = whole[0].read_bytes().splitlines(keepends=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / f"{model}-1.0.part").write_bytes(b"".join(lines[:9]) + lines[9][:-4])
    again = prepare.write_nouns(shop.folder, tmp_path / "b", lambda *_: None)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in whole]
