"""Which words of a title are nouns: from a prepared table, from spaCy, or from a rule of thumb."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points, version
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from harness.errors import DataError, MissingPart
from tasks.webshop.analysis import STOP_WORDS

TABLE, ABOUT = "nouns.jsonl", "nouns.json"
PAPER = "en_core_web_lg"
"""The model upstream loads."""

ORDER = ("en_core_web_lg", "en_core_web_md", "en_core_web_sm")
NOUNS = ("NOUN", "PROPN")


class ProductNouns(Protocol):
    """Finds the nouns of titles.

    Attributes:
        name: provider, model and version.
        model: the spaCy model they are from, empty for none.
        digest: hash of a table.
    """

    name: str
    model: str
    digest: str

    def of(self, doc: int, title: str) -> tuple[str, ...]:
        """The nouns of a product's title in their order, in lower case."""
        ...


@dataclass(frozen=True, slots=True)
class NounModel:
    """A spaCy model that is installed."""

    name: str
    version: str


def installed() -> NounModel | None:
    """The best English web model that is installed, without loading it; None for none."""
    names = [entry.name for entry in entry_points(group="spacy_models")]
    found = [name for name in (*ORDER, *sorted(set(names) - set(ORDER))) if name in names]
    best = next((name for name in found if name.startswith("en_core_web")), None)
    return None if best is None else NounModel(best, version(_distribution(best)))


def _distribution(model: str) -> str:
    (entry,) = [one for one in entry_points(group="spacy_models") if one.name == model][:1]
    return entry.dist.name if entry.dist is not None else model


def choose(option: str, folder: Path) -> ProductNouns:
    """The provider an option names; `auto` takes the first of table, spaCy and rules that is there.

    Raises:
        MissingPart: it is not there.
    """
    if lack := missing(option, folder):
        raise MissingPart(lack)
    if option in ("auto", "table") and (folder / ABOUT).is_file():
        return TableNouns(folder)
    model = installed()
    return SpacyNouns(model) if option in ("auto", "spacy") and model is not None else RuleNouns()


def missing(option: str, folder: Path) -> str | None:
    """Why a provider cannot be used; None when it can."""
    if option == "table" and not (folder / ABOUT).is_file():
        return f"{folder / ABOUT} is not there"
    if option == "spacy" and installed() is None:
        return "no spaCy model en_core_web_* is installed"
    return None


class TableNouns:
    """Nouns that were found when the catalogue was prepared."""

    def __init__(self, folder: Path) -> None:
        from tasks.webshop.index import Lines

        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        self.model, self.digest = str(about["model"]), str(about["sha256"])
        self.name = f"table of {self.model} {about['version']}"
        self._lines = Lines(folder / TABLE)
        if len(self._lines) != about["products"]:
            raise DataError(
                f"{folder / TABLE} has {len(self._lines)} lines of {about['products']}: make it again"
            )

    def of(self, doc: int, title: str) -> tuple[str, ...]:
        del title
        return tuple(json.loads(self._lines[doc]))


class SpacyNouns:
    """Nouns as the installed model finds them, one title at a time."""

    digest = ""

    def __init__(self, model: NounModel) -> None:
        self.model, self.name = model.name, f"spacy {model.name} {model.version}"
        self._lock, self._tagger = Lock(), load(model.name)
        self._of = lru_cache(maxsize=1 << 14)(self._tagged)

    def of(self, doc: int, title: str) -> tuple[str, ...]:
        del doc
        return self._of(title)

    def _tagged(self, title: str) -> tuple[str, ...]:
        with self._lock:  # a pipeline is not made for several threads
            return nouns(self._tagger(title))


class RuleNouns:
    """Every word but numbers, stop words and the commonest adjectives; no substitute for a tagger."""

    name, model, digest = "rules", "", ""
    _WORD = re.compile(r"[^\W\d_]{2,}")
    _OTHERS = (
        "from your our you than more most very all any each up out so can free new good best high low easy "
        "soft small large big long short black white red blue green use make made"
    )
    _OTHER = STOP_WORDS | frozenset(_OTHERS.split())

    def of(self, doc: int, title: str) -> tuple[str, ...]:
        del doc
        return tuple(word for word in self._WORD.findall(title.lower()) if word not in self._OTHER)


def load(model: str) -> Any:
    """Load a model with what tagging needs."""
    import spacy

    return spacy.load(model, exclude=["parser", "ner", "lemmatizer", "senter"])


def nouns(tagged: Any) -> tuple[str, ...]:
    """The nouns of a tagged title in their order, in lower case."""
    return tuple(token.text.lower() for token in tagged if token.pos_ in NOUNS)


def tagged(titles: Iterable[str], model: str) -> Iterator[tuple[str, ...]]:
    """The nouns of many titles."""
    yield from map(nouns, load(model).pipe(titles, batch_size=256))
