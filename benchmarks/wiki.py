"""What the offline Wikipedia costs: building 3,000 pages, and looking terms up in them.

Targets: an index of 3,000 pages in at most 1 s, at most 2 ms per query that searches, and 200 identical
requests at once asked once. Printed beside them is the floor, bare SQLite FTS5 on the same pages and words.
Pages are the real ones when HARNESS_MIRROR (or ../shared/data) has them, else made of seeded words.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import re
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

PAGES, QUERIES, REPEATS = 3000, 600, 5
INDEX_TARGET_S, QUERY_TARGET_MS, GRACE = 1.0, 2.0, 1.5

Page = tuple[str, str]


def pages() -> tuple[str, list[Page]]:
    """Where the pages are from, and 3,000 of them."""
    from tasks.hotpotqa.rows import paragraphs

    mirror = Path(os.environ.get("HARNESS_MIRROR", Path(__file__).parents[2] / "shared/data")) / "hotpotqa"
    found = dict(paragraphs(mirror)) if mirror.is_dir() else {}
    chance = random.Random(7)
    words = [
        "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 9))) for _ in range(20_000)
    ]
    made = (
        (f"{a} {b} {n}", " ".join(chance.choices(words, k=90)))
        for n, (a, b) in enumerate(itertools.pairwise(words))
    )
    real = len(found)
    while len(found) < PAGES:
        title, text = next(made)
        found[title] = text
    return f"{min(real, PAGES)} real and {PAGES - min(real, PAGES)} made", list(found.items())[:PAGES]


def seconds(work: Callable[[], object]) -> float:
    """Median wall time of a few runs."""
    took: list[float] = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def bare_index(content: list[Page]) -> sqlite3.Connection:
    index = sqlite3.connect(":memory:")
    index.execute("CREATE VIRTUAL TABLE page USING fts5(title, text)")
    index.executemany("INSERT INTO page VALUES (?, ?)", content)
    return index


def bare_query(index: sqlite3.Connection, term: str) -> list[tuple[str]]:
    query = " OR ".join(f'"{word}"' for word in re.findall(r"\w+", term))
    return index.execute(
        "SELECT title FROM page WHERE page MATCH ? ORDER BY bm25(page, 10.0, 1.0) LIMIT 10", (query,)
    ).fetchall()


def network_requests() -> int:
    """How often 200 identical requests at once reach the network."""
    from tasks._shared.recorded import Answers
    from tasks._shared.web import Answer, Request

    async def main() -> int:
        answers, asked = Answers("live"), 0

        async def ask() -> Answer:
            nonlocal asked
            asked += 1
            await asyncio.sleep(0.02)
            return Answer(200, b"{}")

        await asyncio.gather(*(answers.get(Request("wiki", "http://x").question, ask) for _ in range(200)))
        return asked

    return asyncio.run(main())


def main() -> int:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tasks._shared.wiki.corpus import Corpus

    source, content = pages()
    built = seconds(lambda: Corpus(content))
    floor = seconds(lambda: bare_index(content))
    corpus, index = Corpus(content), bare_index(content)
    # Terms that are no title, so that each one searches: two words of a title and three of its text.
    chance = random.Random(11)
    terms = [
        " ".join([*title.split()[:2], *chance.sample(text.split(), 3)])
        for title, text in chance.sample([page for page in content if len(page[1].split()) > 3], QUERIES)
    ]
    query = seconds(lambda: [corpus.find(term) for term in terms]) / QUERIES * 1000
    query_floor = seconds(lambda: [bare_query(index, term) for term in terms]) / QUERIES * 1000
    asked = network_requests()
    rows = [
        ("index of 3,000 pages", built, floor, INDEX_TARGET_S, "s"),
        ("query", query, query_floor, QUERY_TARGET_MS, "ms"),
    ]
    print(f"pages: {source}")
    for name, took, least, target, unit in rows:
        floor_text = f"{took / least:.2f} x bare FTS5 ({least:.3f} {unit})"
        print(f"{name}: {took:.3f} {unit} (target {target:g}), {floor_text}")
    print(f"200 identical requests at once reached the network {asked} time(s)")
    late = any(took > GRACE * target for _, took, _, target, _ in rows)
    return 1 if late or asked != 1 else 0


if __name__ == "__main__":
    raise SystemExit(main())
