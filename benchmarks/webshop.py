"""WebShop's steps, queries and preparing, on a catalogue of products made of the words of real ones.

    python benchmarks/webshop.py [PRODUCTS [DATA]]

PRODUCTS is how many are made (20,000); DATA is the task's folder of a mirror, the fixture without it. The
build is killed twice and goes on, and must give the bytes of one that was not. A step's floor is a bare join
of the same texts. Exit code 1 beyond 1.5 times a target.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from harness.data import task_folder
from tasks.webshop import json_files
from tasks.webshop.build import CatalogueSources, build
from tasks.webshop.catalogue import FULL, SMALL, ShopCatalogue, open_catalogue, raw_files
from tasks.webshop.shop import SEPARATOR, Visit

TOLERANCE = 1.5
STEP_US, QUERY_MS, BUILD_S, BUILD_MB, SECOND_MB = 60.0, 20.0, 60.0, 1200.0, 60.0
"""Targets: a step; a query at 200,000 products; 100,000 products prepared; its memory; a second process's."""


def made(source: Path, count: int, target: Path) -> None:
    """Write so many products: real ones with a tenth of their words exchanged, under new asins."""
    rng, real = Random(1), list(json_files.items(source))
    words = [word for one in real for word in one["full_description"].split()] or ["word"]
    with target.open("w", encoding="utf-8") as file:
        for number in range(count):
            one = dict(real[number % len(real)])
            text = one["full_description"].split()
            for at in range(0, len(text), 10):
                text[at] = rng.choice(words) + (str(rng.randrange(10**6)) if at % 50 == 0 else "")
            one |= {"asin": f"X{number:09d}", "full_description": " ".join(text)}
            file.write(("[" if number == 0 else ",\n") + json.dumps(one))
        file.write("]")


def prepare(sources: CatalogueSources, folder: Path, parts: int, results: str) -> None:
    """In a process of its own: build, and die after so many parts; 0 goes to the end and tells its peak."""
    left = parts

    def tell(done: int, total: int | None, what: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    build(sources, folder, tell)
    peak = resource.getrusage(resource.RUSAGE_SELF)
    Path(results).write_text(json.dumps([peak.ru_maxrss / 1024, peak.ru_utime + peak.ru_stime]))


def second(folder: Path, results: str) -> None:
    """In a process of its own: memory that an opened and used catalogue adds."""
    import ijson  # noqa: F401
    import msgspec  # noqa: F401
    import nltk.stem.porter  # noqa: F401
    import numpy  # noqa: F401
    import regex  # noqa: F401

    start = resident()
    shop = ShopCatalogue(folder)
    for doc in range(0, len(shop), max(1, len(shop) // 200)):
        shop.search(shop.product(doc).title)
    Path(results).write_text(json.dumps(resident() - start))


def resident() -> float:
    """This process's resident memory in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def child(work: Callable[..., None], *given: object) -> int | None:
    """Run something in a fresh process; returns its exit code."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=given)
    process.start()
    process.join()
    return process.exitcode


def step_us(shop: ShopCatalogue) -> tuple[float, float]:
    """CPU microseconds of a click and the page after it, and of joining the same texts."""
    visit = Visit(shop, "an instruction of usual length, and price lower than 50.00 dollars")
    visit.search(shop.search(shop.product(0).title))
    first = visit.shown()[0][1].asin.lower()
    clicks = [first, "description", "< prev", "features", "< prev", "< prev", "next >", "< prev"]
    joined, bare, count = [], 0.0, 0
    began = time.process_time()
    for label in clicks * 250:
        visit.click(label)
        joined = [visit.text(), visit.available()]
        count += 1
    ours = time.process_time() - began
    parts = joined[0].split(SEPARATOR)
    began = time.process_time()
    for _ in range(count):
        joined = [SEPARATOR.join(parts), repr(parts)]
    bare = time.process_time() - began
    return ours / count * 1e6, bare / count * 1e6


def query_ms(shop: ShopCatalogue) -> float:
    """CPU milliseconds of a query of a title's first eight words, not remembered."""
    queries = [" ".join(shop.product(doc).title.split()[:8]) for doc in range(0, len(shop), len(shop) // 50)]
    began = time.process_time()
    for query in queries:
        shop.index.search(query)
    return (time.process_time() - began) / len(queries) * 1e3


def main() -> int:
    """Print each number beside its target."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    given = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    data, name = (given, SMALL) if given else (task_folder("webshop") / "fixture", FULL)
    checks: list[tuple[str, float, float]] = []
    with tempfile.TemporaryDirectory() as work:
        folder, told = Path(work), str(Path(work) / "told")
        raw = raw_files(data, name)
        made(raw[0], count, folder / "items.json")
        sources = CatalogueSources(folder / "items.json", raw[1], raw[2])
        assert child(prepare, sources, folder / "whole", 0, told) == 0
        peak, seconds = json.loads(Path(told).read_text(encoding="utf-8"))
        for parts in (1, max(1, count // 20_000)):
            assert child(prepare, sources, folder / "cut", parts, told) == -signal.SIGKILL
        assert child(prepare, sources, folder / "cut", 0, told) == 0
        shop, cut = ShopCatalogue(folder / "whole"), ShopCatalogue(folder / "cut")
        assert shop.manifest["sha256"] == cut.manifest["sha256"], "going on gave other bytes"
        print(
            f"{count} products, {shop.manifest['tokens'] / count:.0f} terms each; killed twice: same sha256"
        )
        small = open_catalogue(data, name)
        ours, bare = step_us(small)
        print(f"a step: {ours / bare:.1f} times a bare join of the same texts")
        checks.append(("a step, CPU us", ours, STEP_US))
        checks.append((f"a query at {len(small)} products, CPU ms", query_ms(small), 1.0))
        checks.append((f"a query at {count} products, CPU ms", query_ms(shop), QUERY_MS))
        checks.append(("preparing 100,000 products, CPU s", seconds * 100_000 / count, BUILD_S))
        checks.append(("memory of preparing, MB", peak, BUILD_MB))
        assert child(second, small.folder, told) == 0
        added = json.loads(Path(told).read_text(encoding="utf-8"))
        checks.append(("memory of a second process, MB", added, SECOND_MB))
    for what, found, target in checks:
        print(f"{what}: {found:.2f} (target {target:g})")
    return int(any(found > target * TOLERANCE for _, found, target in checks))


if __name__ == "__main__":
    sys.exit(main())
