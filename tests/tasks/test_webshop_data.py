"""WebShop's data: goals of the mirror, preparing a catalogue and going on with it, and what is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import product as combinations
from pathlib import Path
from random import Random

import pytest

from harness import data
from harness.data import Tell, literals, quiet, task_folder
from harness.errors import DataError
from harness.running import plan
from harness.running.request import ModelChoice, RunRequest, Workload
from tasks.webshop import build as building
from tasks.webshop import colors, json_files, prepare, prompts, rows
from tasks.webshop.build import CatalogueSources, build
from tasks.webshop.catalogue import SMALL_FILES, ShopCatalogue, goals, open_catalogue

FIXTURE = task_folder("webshop") / "fixture"
SOURCES = CatalogueSources(
    *(FIXTURE / "full" / name for name in ("items_shuffle.json", "items_ins_v2.json", "items_human_ins.json"))
)


def files(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.is_file()
    }


# The mirror


def test_the_13_goals_of_the_mirror_are_upstreams(mirror: Path):
    found = [goal for _, goal in goals(mirror / "webshop", "small")]
    assert len(found) == 13
    human = json.loads((mirror / "webshop/WebShop/baseline_models/data/human_goals.json").read_text())
    assert prepare.order_hash(human) == prepare.GOAL_ORDER and len(human) == prepare.GOAL_COUNT
    # The small catalogue is the first thousand products: before they are shuffled its goals come first.
    places = list(range(len(human)))
    Random(rows.SEED).shuffle(places)
    order = sorted(found, key=lambda goal: (goal.doc, goal.place))
    theirs = [human[places.index(number)] for number in range(13)]
    assert [prepare.order_hash([goal.wish]) for goal in order] == [
        prepare.order_hash([text]) for text in theirs
    ]
    assert all(goal.cap() for goal in found)
    assert found[0].instruction() == f"{found[0].wish}, and price lower than 50.00 dollars"


def test_the_mirrors_products_make_princetons_6910_synthetic_goals(mirror: Path):
    attributes = json_files.table(mirror / "webshop" / SMALL_FILES[1])
    seen: set[str] = set()
    raw = [one for one in json_files.items(mirror / "webshop" / SMALL_FILES[0]) if rows.accepted(one, seen)]
    shown = [rows.product(one, attributes) for one in raw]
    told = [one for one in shown if attributes[one.asin].get("instruction") is not None]
    count = sum(len(list(combinations(*(values for _, values in one.options)))) for one in told)
    assert (len(shown), len(told), count) == (1000, 415, 6910)
    assert sum(len(one.prices) == 2 for one in shown) == 93
    assert sum(one["pricing"] is None for one in raw) == 89


def test_std_is_refused_with_the_reason_while_small_runs(mirror: Path):
    def lines(split: str) -> list[str]:
        work = Workload(tasks=("webshop",), split=split, mirror=str(mirror))
        return plan.make(RunRequest(work, ModelChoice(model="oracle"))).missing.get("webshop", [])

    (line,) = lines("std")
    for word in (
        "5.2 GB",
        "RAM",
        "disk",
        "minutes",
        "harness data prepare webshop --from DIR",
        "--split small",
    ):
        assert word in line
    assert lines("small") == []


def test_the_mirrors_files_can_be_made_again(mirror: Path, tmp_path: Path):
    """What `data prepare` keeps of WebShop's own files is what the mirror has, byte for byte."""
    folder = mirror / "webshop"
    source = tmp_path / "data"
    source.mkdir()
    raw = json.loads((folder / SMALL_FILES[0]).read_text(encoding="utf-8"))
    dropped = [{**one, "brand": "x", "total_reviews": 3} for one in raw]
    (source / "items_shuffle_1000.json").write_text(json.dumps(dropped))
    (source / "items_ins_v2_1000.json").write_bytes((folder / SMALL_FILES[1]).read_bytes())
    told = json.loads((folder / SMALL_FILES[2]).read_text(encoding="utf-8"))
    (source / "items_human_ins.json").write_text(json.dumps({**told, "B000000000": []}))
    made = prepare.prepare(tmp_path, tmp_path / "out", quiet)
    assert [path.relative_to(tmp_path / "out") for path in made] == list(SMALL_FILES)
    assert [path.read_bytes() for path in made] == [(folder / name).read_bytes() for name in SMALL_FILES]


# Preparing


def test_prompts_and_colours_are_read_from_checkouts(tmp_path: Path):
    script = tmp_path / prepare.SCRIPT
    script.parent.mkdir(parents=True)
    texts = "\n".join(f"    x = 'text {n}'" for n in range(50))
    script.write_text(f"prompt = '''Buy.'''\ndef predict():\n{texts}\n")
    (made,) = prepare.prepare(tmp_path, tmp_path / "out", quiet)
    found = literals(made)
    assert list(found) == list(prompts.ADDRESSES)
    assert (found[prompts.PROMPT], found[prompts.ACTIONS]) == ("Buy.", "text 44")
    module = tmp_path / "shop" / prepare.COLORS
    module.parent.mkdir(parents=True)
    module.write_text("COLOR_SET = ['alice', 'blue']\ndef normalize(x):\n    return exec(x)\n")
    prepare.prepare(tmp_path / "shop", tmp_path / "out", quiet)
    assert colors.load(tmp_path / "out") == (("alice", "blue"), True)


def test_a_folder_of_nothing_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"is no checkout of .* has no items_shuffle\.json"):
        prepare.prepare(tmp_path, tmp_path / "out", quiet)
    (tmp_path / "items_shuffle.json").write_text("[]")
    with pytest.raises(DataError, match=r"items_ins_v2\.json is not in"):
        prepare.prepare(tmp_path, tmp_path / "out", quiet)


def test_too_few_products_are_not_the_full_catalogue(tmp_path: Path):
    with pytest.raises(DataError, match=r"55 products are not the full catalogue"):
        prepare.prepare(FIXTURE / "full", tmp_path, quiet)


def test_goals_in_another_order_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(prepare, "LEAST", 1)
    with pytest.raises(DataError, match=r"16 goals in the order [0-9a-f]{16} are not upstream's 12087"):
        prepare.prepare(FIXTURE / "full", tmp_path, quiet)


def test_which_products_are_taken(tmp_path: Path):
    build(SOURCES, tmp_path)
    shop = ShopCatalogue(tmp_path)
    asins = [shop.product(doc).asin for doc in range(len(shop))]
    assert len(asins) == len(set(asins)) == 55 and "nan" not in asins and max(map(len, asins)) == 10
    shown = {doc: shop.product(doc) for doc in (1, 2, 4, 6, 7, 14)}
    assert [shown[doc].tag for doc in (1, 2, 4)] == ["$100.0", "$12.0 to $30.5", "$995.0"]
    assert shown[6].options[1] == ("size", ("one size", "large  |  wide", "xl [tall]", "narrow"))
    assert shown[7].bullets == ("One bullet, as a text.",)
    assert shown[14].options == (("pack", ("1 pound  |  bag",)),)


KILLED = """
import os, signal, sys
from pathlib import Path
from tasks.webshop import build
build.PART = 10
left = int(sys.argv[1])
def tell(done, total, what):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
folder = Path(sys.argv[2])
build.build(build.CatalogueSources(*map(Path, sys.argv[3:])), folder, tell)
"""


def test_a_build_that_is_killed_twice_goes_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(building, "PART", 10)
    build(SOURCES, tmp_path / "whole")
    paths = [str(path) for path in (SOURCES.products, SOURCES.attributes, SOURCES.instructions)]
    for left in ("2", "1"):
        command = [sys.executable, "-c", KILLED, left, str(tmp_path / "cut"), *paths]
        assert subprocess.run(command, timeout=120, check=False).returncode == -signal.SIGKILL
        assert not (tmp_path / "cut" / "manifest.json").exists()
    with (tmp_path / "cut" / "products.jsonl").open("ab") as file:
        file.write(b'{"asin": "half a li')  # written, but not part of what counts
    told: list[str] = []
    tell: Tell = lambda done, total, what: told.append(what)  # noqa: E731
    build(SOURCES, tmp_path / "cut", tell)
    assert told == ["40 products", "50 products", "55 products"]
    assert files(tmp_path / "cut") == files(tmp_path / "whole")


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(building, "PART", 10)
    build(SOURCES, tmp_path / "whole")
    written, written_whole = 0, building.write_whole

    def full(path: Path, content: bytes) -> None:
        nonlocal written
        written += 1
        if written == 4:
            raise OSError(28, "No space left on device")
        written_whole(path, content)

    monkeypatch.setattr(building, "write_whole", full)
    with pytest.raises(DataError, match=r"No space left on device\): make room, then go on with --resume"):
        build(SOURCES, tmp_path / "cut")
    other = tmp_path / "items.json"
    other.write_text(SOURCES.products.read_text(encoding="utf-8"), encoding="utf-8")
    shutil.copytree(tmp_path / "cut", tmp_path / "changed")
    told: list[str] = []
    for sources, folder in (
        (SOURCES, "cut"),
        (replace(SOURCES, products=other), "changed"),
        (SOURCES, "cut"),
    ):
        build(sources, tmp_path / folder, lambda done, total, what: told.append(what))
    assert files(tmp_path / "cut") == files(tmp_path / "whole")
    whole = [f"{count} products" for count in (10, 20, 30, 40, 50, 55)]
    assert told == [*whole[3:], *whole], "it goes on only with the same sources, and builds nothing twice"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", "holds no product"),
        ('[{"asin": "A",\n"name": }]', r"in line 2 or up to 64 KB before it, after object 0"),
        ("[" + '{"asin": "nan"},\n' * 5 + "oops", r"in line 6 .* after object 5"),
        ('[{"asin": "nan"}', "after object 1"),
        ("[1]", "a int where an object is expected"),
        ('[{"asin": "A"}]', r"product 'A' is not of the documented form: KeyError\('name'\)"),
    ],
)
def test_a_damaged_products_file_is_named_with_the_place(tmp_path: Path, content: str, words: str):
    (tmp_path / "items.json").write_text(content)
    sources = CatalogueSources(tmp_path / "items.json", SOURCES.attributes, SOURCES.instructions)
    with pytest.raises(DataError, match=words):
        build(sources, tmp_path / "out")


def test_a_damaged_catalogue_is_refused(tmp_path: Path):
    build(SOURCES, tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    for change, words in (
        ({"products": 54}, "55 products, 55 documents to search, 54 in its manifest"),
        ({"products": 0}, "is damaged"),
        ({"format": 0}, "of another version"),
        ({"sizes": {"lengths.npy": 1}}, r"lengths\.npy is damaged \(\d+ bytes of 1\)"),
    ):
        (tmp_path / "manifest.json").write_text(json.dumps({**manifest, **change}))
        with pytest.raises(DataError, match=words):
            ShopCatalogue(tmp_path)


def test_a_prepared_catalogue_is_what_a_small_one_is_built_into(tmp_path: Path):
    build(SOURCES, tmp_path / "full")
    shop, built = open_catalogue(tmp_path, "full"), open_catalogue(FIXTURE, "full")
    assert shop.manifest["sha256"] == built.manifest["sha256"]
    (tmp_path / "splits.json").write_bytes((FIXTURE / "splits.json").read_bytes())
    for split in ("std", "dev"):
        assert goals(tmp_path, split) == goals(FIXTURE, split)
    (tmp_path / "splits.json").unlink()
    with pytest.raises(DataError, match="has 16 goals, std needs 200: it is not the full one"):
        goals(tmp_path, "std")


def test_the_mirror_is_complete_for_small(mirror: Path):
    assert data.resolve("webshop", str(mirror), "small").problems == ()
