"""Where a benchmark's data comes from: literals, pinned files, mirror, cache and fixture."""

from harness.data.core import core_path, notice
from harness.data.discover import holder
from harness.data.literals import checkout_literals, digest, extract_literals, literals, write_literals
from harness.data.pins import CORE, Pin, Pins, pins, task_folder
from harness.data.prepare import Tell, quiet
from harness.data.resolve import (
    FIXTURE,
    Problem,
    Resolved,
    cache_folder,
    check,
    core_file,
    resolve,
    writable,
)

__all__ = [
    "CORE",
    "FIXTURE",
    "Pin",
    "Pins",
    "Problem",
    "Resolved",
    "Tell",
    "cache_folder",
    "check",
    "checkout_literals",
    "core_file",
    "core_path",
    "digest",
    "extract_literals",
    "holder",
    "literals",
    "notice",
    "pins",
    "quiet",
    "resolve",
    "task_folder",
    "writable",
    "write_literals",
]
