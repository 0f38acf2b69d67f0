"""What each task says its samples ask, in words: the question, and nothing that all samples share."""

from __future__ import annotations

from collections import Counter

import pytest

from harness.catalog import registry
from harness.checks.contamination.questions import QuestionChoices, read

PLAYED = {"alfworld", "card_game", "miniwob", "sciworld"}
"""Tasks whose questions are known only when they are played."""


@pytest.mark.parametrize("task", registry.names())
def test_questions_of_the_fixture(task: str):
    (found,) = read(QuestionChoices(tasks=(task,), mirror="fixture")).tasks
    texts = list(found.texts.values())
    if task in PLAYED:
        assert set(texts) == {""}
        return
    assert all(text.strip() and len(text.split()) > 1 for text in texts)
    if len(texts) > 4:
        lines = Counter(line for text in set(texts) for line in set(text.splitlines()) if len(line) > 30)
        assert not [line for line, count in lines.items() if count > len(set(texts)) / 2]
