"""Builds MMLU's five-shot conversation in the paper's and in the fixed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

from harness.data import literals
from harness.tokens import estimate
from harness.types import Ask, Context, Message, Observation, Profile
from tasks.mmlu.rows import LETTERS, rows

Shot = tuple[Message, Message]

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


def exemplars(rows: Sequence[Mapping[str, str]]) -> tuple[Shot, ...]:
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


def most_tokens(messages: Sequence[Message]) -> int:
    """Bound a prompt's tokens from above: two bytes each, which formulas have too, and every turn's own."""
    return sum(TURN_TOKENS + len(message.content.encode()) // 2 for message in messages)


def fitting(start: Message, shots: Sequence[Shot], last: Message, limit: int) -> Sequence[Shot]:
    """Drop whole exemplars from the front until the prompt fits, as the benchmark's authors do.

    Tokens are estimated from above and without a tokenizer, so the prompt is the same at every endpoint.
    """
    room = limit - TURN_TOKENS - estimate(start.content) - estimate(last.content)
    sizes = [TURN_TOKENS + estimate(asked.content) + estimate(answer.content) for asked, answer in shots]
    first = 0
    while first < len(shots) and sum(sizes[first:]) > room:
        first += 1
    return shots[first:]


class MmluPrompts:
    """What a run's questions have in common: the texts, the `Ask`, and each subject's exemplars.

    Attributes:
        texts: the two halves of the system sentence, by address.
        ranked: whether letters are ranked, not generated.
        profile: whose prompt and reading hold.
    """

    def __init__(self, ctx: Context) -> None:
        self.texts: Mapping[str, str] = literals(ctx.data / "prompts.json")
        self.ranked = ctx.options.answer == "rank"
        self._limit: int = ctx.options.max_prompt_tokens
        self.profile: Profile = ctx.profile
        self._ask = ask(ctx.profile, self._limit, generate=not self.ranked)
        self._exemplars = cache(lambda subject: exemplars(rows(ctx.data, "dev", subject)))

    def asked(self, row: Mapping[str, str]) -> Observation:
        """The conversation of one question."""
        start, shots, last = self._parts(row)
        messages = (start, *(turn for shot in shots for turn in shot), last)
        cut = self._ask.truncate is not None and most_tokens(messages) > self._limit
        return Observation(messages, self._ask if cut else replace(self._ask, truncate=None))

    def shots(self, row: Mapping[str, str]) -> int:
        """How many exemplars one question shows."""
        return len(self._parts(row)[1])

    def _parts(self, row: Mapping[str, str]) -> tuple[Message, Sequence[Shot], Message]:
        start, shots = system(self.texts, row["subject"]), self._exemplars(row["subject"])
        # Upstream strips what follows the last option; in exemplars it stays.
        last = Message("user", question(row).rstrip(), "task")
        return start, fitting(start, shots, last, self._limit) if self.profile == "fixed" else shots, last
