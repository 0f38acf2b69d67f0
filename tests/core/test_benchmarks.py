"""Parts of benchmarks that need neither time nor data."""

from __future__ import annotations

import importlib.util
from pathlib import Path

WIKI = Path(__file__).parents[2] / "benchmarks/wiki.py"


def test_the_encyclopedias_benchmark_asks_once_what_is_asked_by_many_at_once():
    spec = importlib.util.spec_from_file_location("wiki_benchmark", WIKI)
    assert spec is not None and spec.loader is not None
    wiki = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(wiki)
    assert wiki.network_requests() == 1
