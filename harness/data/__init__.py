"""Where a benchmark's data comes from: literals, pinned files, mirror, cache and fixture."""

from harness.data.literals import digest, extract_literals, literals, write_literals
from harness.data.pins import CORE, Pin, Pins, pins, task_folder
from harness.data.resolve import FIXTURE, Problem, Resolved, cache_folder, check, core_file, resolve

__all__ = [
    "CORE",
    "FIXTURE",
    "Pin",
    "Pins",
    "Problem",
    "Resolved",
    "cache_folder",
    "check",
    "core_file",
    "digest",
    "extract_literals",
    "literals",
    "pins",
    "resolve",
    "task_folder",
    "write_literals",
]
