"""Makes the task's files: prompts, colours, the small catalogue's JSON, the full catalogue, nouns."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.data import Tell, extract_literals, write_literals
from harness.errors import DataError
from tasks.webshop import colors, json_files, nouns, prompts
from tasks.webshop.build import GOALS, MANIFEST, PRODUCTS, CatalogueSources, build
from tasks.webshop.catalogue import FULL, SMALL_FILES
from tasks.webshop.index import Lines, write_lines

SCRIPT = "AgentBench.old/src/tasks/webshop/__init__.py"
COLORS = "web_agent_site/engine/normalize.py"
PRODUCTS_FULL, PRODUCTS_SMALL = "items_shuffle.json", "items_shuffle_1000.json"
ATTRIBUTES, ATTRIBUTES_SMALL = "items_ins_v2.json", "items_ins_v2_1000.json"
INSTRUCTIONS = "items_human_ins.json"

LEAST = 1_000_000
"""Products that the full catalogue has at least; it is said to have 1.18 million."""

GOAL_COUNT = 12_087
GOAL_ORDER = "21134014cd3a1f79975f970d244b7ad7428d5c39048d290f9fb671fe1bd53017"
"""sha256 over upstream's `human_goals.json`, of each goal its ASCII letters and digits in lower case."""

_DROPPED = (
    "product_information brand brand_url list_price availability_quantity availability_status total_reviews "
    "total_answered_questions seller_id seller_name fulfilled_by_amazon fast_track_message aplus_present "
    "small_description_old"
)
DROPPED = frozenset(_DROPPED.split())
"""The keys of a product that upstream's loader drops."""


def prepare(source: Path, target: Path, tell: Tell) -> list[Path]:
    """Write whatever can be made of a folder: see the task's README for what it may hold.

    Raises:
        DataError: it holds nothing of use, or what it holds is damaged or not what it should be.
    """
    made: list[Path] = []
    if (script := source / SCRIPT).is_file():
        made.append(write_literals(target / prompts.FILE, extract_literals(script, prompts.ADDRESSES)))
    if (module := source / COLORS).is_file():
        made.append(write_literals(target / colors.FILE, extract_literals(module, [colors.ADDRESS])))
    if (products := _found(source, PRODUCTS_SMALL)) is not None:
        made += _small(source, products, target)
    if (products := _found(source, PRODUCTS_FULL)) is not None:
        files = CatalogueSources(products, _needed(source, ATTRIBUTES), _needed(source, INSTRUCTIONS))
        made += build(files, target / FULL, tell)
        check_full(target / FULL)
        made += write_nouns(target / FULL, target / FULL, tell)
    elif (source / MANIFEST).is_file():
        made += _nouns_alone(source, target / FULL, tell)
    if not made:
        raise DataError(
            f"{source} is no checkout of AgentTuning or princeton-nlp/WebShop, has no {PRODUCTS_FULL} or "
            f"{PRODUCTS_SMALL}, and is no prepared catalogue"
        )
    return made


def _found(source: Path, name: str) -> Path | None:
    """A file of the folder, or of its `data`, where a checkout of WebShop has them."""
    return next((path for path in (source / name, source / "data" / name) if path.is_file()), None)


def _needed(source: Path, name: str) -> Path:
    path = _found(source, name)
    if path is None:
        raise DataError(f"{name} is not in {source} nor in {source / 'data'}: put it beside the products")
    return path


def _small(source: Path, products: Path, target: Path) -> Iterator[Path]:
    """The small catalogue's three files, without what upstream's loader drops."""
    raw = list(json_files.items(products))
    kept = [{key: _kept(key, value) for key, value in one.items() if key not in DROPPED} for one in raw]
    told = json_files.table(_needed(source, INSTRUCTIONS))
    asins = {one["asin"] for one in raw}
    instructions = {asin: entries for asin, entries in told.items() if asin in asins}
    attributes = _needed(source, ATTRIBUTES_SMALL).read_bytes()
    contents = (_json(kept), attributes, _json(instructions))
    for name, content in zip(SMALL_FILES, contents, strict=True):
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        yield path


def _kept(key: str, value: Any) -> Any:
    if key != "pricing" or not value:
        return value
    return " - ".join(f"${float(re.sub(r'[^0-9.]', '', piece)):.2f}" for piece in value.split("$")[1:])


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def check_full(folder: Path) -> None:
    """Refuse a catalogue that is not the full one, or has upstream's goals in another order.

    Raises:
        DataError: with what was found and what is expected.
    """
    found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if found["products"] < LEAST:
        raise DataError(f"{found['products']} products are not the full catalogue of about 1.18 million")
    with (folder / GOALS).open("rb") as file:
        order = order_hash([json.loads(line)["wish"] for line in file])
    if (found["goals"], order) != (GOAL_COUNT, GOAL_ORDER):
        raise DataError(
            f"{found['goals']} goals in the order {order[:16]} are not upstream's {GOAL_COUNT} in the order "
            f"{GOAL_ORDER[:16]}: take {INSTRUCTIONS} and {PRODUCTS_FULL} of one release"
        )


def order_hash(goals: Sequence[str]) -> str:
    """Hash goals in their order; punctuation, which upstream's two files treat differently, is left out."""
    plain = "\n".join(re.sub(r"[^a-z0-9]", "", goal.lower()) for goal in goals)
    return hashlib.sha256(plain.encode()).hexdigest()


def _nouns_alone(catalogue: Path, folder: Path, tell: Tell) -> list[Path]:
    """The nouns of a catalogue that is prepared already."""
    made = write_nouns(catalogue, folder, tell)
    if not made:
        raise DataError(
            f"{catalogue} is prepared; to add its table of nouns install a spaCy model ({nouns.PAPER})"
        )
    return made


def write_nouns(catalogue: Path, folder: Path, tell: Tell) -> list[Path]:
    """Tag all titles with the best spaCy model that is installed; nothing without one.

    One that was cut off goes on where it was, if the same model is installed.
    """
    model = nouns.installed()
    if model is None:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    products = Lines(catalogue / PRODUCTS)
    part = folder / f"{model.name}-{model.version}.part"
    done = _whole_lines(part)
    titles = (json.loads(products[doc])["title"] for doc in range(done, len(products)))
    with part.open("ab") as file:
        for number, found in enumerate(nouns.tagged(titles, model.name), done + 1):
            file.write(json.dumps(found).encode() + b"\n")
            if number % 1000 == 0:
                tell(number, len(products), f"nouns by {model.name}")
    lines = part.read_bytes().splitlines()
    write_lines(folder / nouns.TABLE, lines)
    about = {
        "model": model.name,
        "version": model.version,
        "products": len(lines),
        "sha256": hashlib.sha256((folder / nouns.TABLE).read_bytes()).hexdigest(),
    }
    (folder / nouns.ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")
    part.unlink()
    return [folder / nouns.TABLE, (folder / nouns.TABLE).with_suffix(".offsets.npy"), folder / nouns.ABOUT]


def _whole_lines(path: Path) -> int:
    """Cut off what follows the last line break; returns the number of lines."""
    if not path.is_file():
        return 0
    content = path.read_bytes()
    os.truncate(path, content.rfind(b"\n") + 1)
    return content.count(b"\n")
