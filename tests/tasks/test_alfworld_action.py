"""From reply to command: parsing, BLEU against NLTK, ties and hostile sizes."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.alfworld import action

VECTORS = [
    ("go to shelf 1", "go to the shelf 1", 0.171418),
    ("put mug 1 in/on desk 1", "put mug 1 on desk 1", 0.293946),
    ("put mug 1 in/on desk 1", "move mug 1 to desk 1", 0.137429),
    ("look", "look around", 0.067544),
    ("go to desk 1", "go", 0.049787),
    ("go to desk 1", "go to", 0.081444),
    ("use desklamp 1", "turn on desklamp 1", 0.168219),
    ("go to shelf 1", "task succeeded.", 0.0),
]


def bleu(reference: Sequence[str], candidate: Sequence[str]) -> float:
    return action.bleu(reference, action.counted(candidate))


@pytest.mark.parametrize(("reference", "candidate", "score"), VECTORS)
def test_bleu_vectors(reference: str, candidate: str, score: float) -> None:
    assert bleu(reference.split(), candidate.split()) == pytest.approx(score, abs=1e-6)


@pytest.mark.parametrize("pairs", [2_000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_bleu_equals_nltk(pairs: int) -> None:
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    rng = random.Random(6)
    words = [
        "go",
        "to",
        "the",
        "desk",
        "shelf",
        "mug",
        "1",
        "2",
        "in/on",
        "put",
        "take",
        "from",
        "open",
        "drawer",
        "use",
        "look",
        "with",
        "clean",
        "a",
    ]
    smooth = SmoothingFunction().method4
    for _ in range(pairs):
        vocabulary = words[: rng.randint(2, len(words))]
        reference = rng.choices(vocabulary, k=rng.randint(1, 9))
        candidate = list(reference) if rng.random() < 0.3 else rng.choices(vocabulary, k=rng.randint(0, 14))
        for _ in range(rng.randint(0, 2)):
            if candidate:
                candidate[rng.randrange(len(candidate))] = rng.choice(words)
        expected = sentence_bleu([reference], candidate, smoothing_function=smooth)
        assert bleu(reference, candidate) == pytest.approx(float(expected), rel=1e-9, abs=1e-12), (
            reference,
            candidate,
        )


def upstream_parse(text: str) -> str:
    """The rule as specs/alfworld.md §3a states it, with regular expressions."""
    found = re.search("ACTION:(.*)\n", text) or re.search("ACTION:(.*)", text)
    return (found.group(1) if found else text).strip().lower().split("\n")[0]


@given(st.lists(st.sampled_from(["ACTION:", "action:", "\n", " ", "\r", "Go To", "1", "\x85"])).map("".join))
def test_parse_is_upstreams_rule(text: str) -> None:
    assert action.parse(text) == upstream_parse(text)


@pytest.mark.parametrize(
    ("reply", "parsed"),
    [
        ("THOUGHT: x\n ACTION: Go To Desk 1\n", "go to desk 1"),
        ("ACTION: a\nACTION: b\n", "a"),
        ("ACTION: a", "a"),
        ("ACTION:\ngo to desk 1", ""),
        ("  Look \nfurther ", "look "),  # stripped before it is cut, as upstream does
        ("  Look\nfurther", "look"),
        ("action: look", "action: look"),
        ("", ""),
    ],
)
def test_parse_examples(reply: str, parsed: str) -> None:
    assert action.parse(reply) == parsed


def test_nearest_keeps_what_is_admissible_and_takes_the_first_of_equals() -> None:
    commands = ["examine bed 1", "go to bed 1", "go to desk 1", "look"]
    assert action.nearest("look", commands) == action.Choice("look")
    assert action.nearest("go to fridge", commands).command == "go to bed 1"
    unlike = action.nearest("task succeeded.", commands)
    assert unlike.command == "task succeeded." and unlike.bleu == 0.0
    assert action.nearest("dance", []) == action.Choice("dance")
    assert action.exact("go to fridge", commands) == action.Choice("go to fridge")


@given(st.integers(101, 1500), st.integers(0, 2**32))
def test_the_shortcut_for_long_actions_loses_nothing(length: int, seed: int) -> None:
    rng = random.Random(seed)
    command = ["put", "mug", "1", "in/on", "desk", "1"]
    tokens = (command * length)[:length] if rng.random() < 0.5 else rng.choices([*command, "x"], k=length)
    exactly = bleu(command, tokens)
    said = " ".join(tokens)
    choice = action.nearest(said, [" ".join(command)])
    assert choice.command == (" ".join(command) if exactly > action.LIMIT else said)
    assert choice.bleu == (exactly if choice.bleu else 0.0)
    if length >= 1000:
        assert choice.bleu == 0.0, "the shortcut was not taken"


def test_ten_megabytes_are_matched_in_bounded_work() -> None:
    """Nothing is timed: a score of exactly 0 shows that a hopeless action's n-grams are never counted."""
    tail = "go to desk 1 " * 200_000
    choice = action.nearest(action.parse("ACTION:" * 1_000_000 + tail), ["go to desk 1", "look"])
    assert choice.bleu == 0.0
    assert bleu(["go", "to", "desk", "1"], tail.split()[:2000]) > 0


def test_scores_are_finite_and_at_most_one() -> None:
    for reference, candidate, _ in VECTORS:
        score = bleu(candidate.split(), reference.split())
        assert math.isfinite(score) and 0 <= score <= 1
    assert bleu(["a", "b", "c", "d", "e"], ["a", "b", "c", "d", "e"]) == 1.0
