"""Builds MMLU's five-shot conversation in the paper's and in the fixed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.tokens import estimate
from harness.types import Ask, Message, Profile

LETTERS = ("A", "B", "C", "D")
TURN_TOKENS = 24
"""Room for a template's own tokens around one pair of turns, more than any shipped template takes."""

GENERATED = 5
"""Tokens of a generated answer."""

ADDRESS = "THUDM/AgentTuning:eval_general/eval_mmlu_hf.py:generate_few_shot_prompt#{}"
BEFORE, AFTER = ADDRESS.format(0), ADDRESS.format(1)


def question(row: Mapping[str, str]) -> str:
    """The question with its four options."""
    return "\n".join([f"Question: {row['question']}", *(f"{letter}. {row[letter]}" for letter in LETTERS)])


def system(literals: Mapping[str, str], subject: str) -> Message:
    """The one sentence that names the subject."""
    return Message("system", literals[BEFORE] + subject.replace("_", " ") + literals[AFTER], "task")


def exemplars(rows: Sequence[Mapping[str, str]]) -> tuple[tuple[Message, Message], ...]:
    """The solved questions of a subject, in file order."""
    return tuple(
        (Message("user", question(row), "shot"), Message("assistant", f"Answer: {row['answer']}", "shot"))
        for row in rows
    )


def ask(profile: Profile, limit: int, *, generate: bool = False) -> Ask:
    """Rank the letters after `Answer:`, or have a few tokens generated.

    Upstream's prompt ends in `Answer: ` with a dangling space after which it ranks the letters with their
    own space; `fixed` ends at the colon. Upstream keeps the last tokens of a prompt that is too long.
    """
    truncate = limit - 1 if profile == "paper" else None
    if generate:  # the model writes `Answer: X` itself, as the exemplars do
        return Ask(GENERATED, truncate=truncate)
    if profile == "paper":
        spaced = tuple(f" {letter}" for letter in LETTERS)
        return Ask(1, choices=spaced, prefix=" Answer: ", truncate=truncate)
    return Ask(1, choices=LETTERS, prefix=" Answer:")


def fitting(
    start: Message,
    shots: Sequence[tuple[Message, Message]],
    last: Message,
    limit: int,
) -> Sequence[tuple[Message, Message]]:
    """Drop whole exemplars from the front until the prompt fits, as the benchmark's authors do.

    Tokens are estimated from above and without a tokenizer, so the prompt is the same at every endpoint.
    """
    room = limit - TURN_TOKENS - estimate(start.content) - estimate(last.content)
    sizes = [TURN_TOKENS + estimate(asked.content) + estimate(answer.content) for asked, answer in shots]
    first = 0
    while first < len(shots) and sum(sizes[first:]) > room:
        first += 1
    return shots[first:]
