"""Everything a run's store says, in whatever shape it is kept."""

from __future__ import annotations

import re
from pathlib import Path

import zstandard

from harness.storage.codec import ZSTD


def texts_of(path: Path) -> list[bytes]:
    """The file, and every compressed frame in it."""
    data = path.read_bytes()
    found, unzip = [data], zstandard.ZstdDecompressor()
    for start in re.finditer(re.escape(ZSTD + zstandard.FRAME_HEADER), data):
        found.append(unzip.decompressobj().decompress(data[start.end() - 4 :]))
    return found
