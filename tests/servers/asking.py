"""Prompts for real servers, and how tests ask them."""

from __future__ import annotations

import asyncio
import random

from harness.models.api import Call
from harness.types import CallKey


def prompts(count):
    """Prompts of words such as the tokenizer was trained on, and of others."""
    chance = random.Random(7)
    syllables = [a + b for a in "bdfgklmnprst" for b in "aeiou"]
    words = ["".join(chance.choices(syllables, k=chance.randint(1, 3))) for _ in range(200)]
    return [
        "Question: " + " ".join(chance.choices(words, k=chance.randint(3, 30))) + "?" for _ in range(count)
    ]


async def ask(model, texts, ask_, at_once):
    """Complete raw prompts, so many at a time."""
    gate = asyncio.Semaphore(at_once)

    async def one(number, text):
        async with gate:
            key = CallKey("gsm8k", f"test/{number}", 0, 0)
            return await model.complete(Call(key, (), text, ask_, seed=number + 1, deadline_s=300))

    return await asyncio.gather(*(one(n, text) for n, text in enumerate(texts)))
