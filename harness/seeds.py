"""Seeds derived from the run's seed, the same in every process and on every attempt."""

from __future__ import annotations

import hashlib


def derive(seed: int, *parts: object) -> int:
    """Hash a seed and any printable parts to an unsigned 63-bit seed.

    TGI takes u64, SQLite and Java signed 64 bits; 63 bits fit all of them.
    """
    text = "\x1f".join(map(str, (seed, *parts)))
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
