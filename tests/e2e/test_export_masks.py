"""What an export trains on is what the model wrote, once, behind what it was shown when it wrote it."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from exported_runs import exported, stored
from talking_model import played, render, says
from tiktoken import Encoding

from harness.export.conversations import conversations
from harness.running.sampling import Sampling
from harness.storage.records import Attempt, CallRecord, Turn
from harness.types import Ask, Message

slow = functools.partial(pytest.param, marks=pytest.mark.slow)

LEFT_OUT = -100
"""The label that trainers give a token that counts in no loss."""


def tokenizer(texts: Iterable[str]) -> Encoding:
    """Byte-pair encoding as models have it, a space being part of the word behind it; learned from texts."""
    pieces = r"\s?\w+|\s?[^\s\w]+|\s+"
    learned = {bytes([n]): n for n in range(256)}
    for piece in dict.fromkeys(piece for text in texts for piece in re.findall(pieces, text)):
        data = piece.encode()
        for end in range(2, min(len(data), 12) + 1):
            learned.setdefault(data[:end], len(learned))
    return Encoding("learned", pat_str=pieces, mergeable_ranks=learned, special_tokens={})


CASES = [
    ("gsm8k", "{chatter}{n}\nThe answer is 5.", {"one turn"}),
    ("mt_bench", "{chatter}{n}  \n", {"judged", "said"}),
    ("knowledgegraph", "{chatter}{n}\nAction: get_relations(a)\nObservation: dreamt", {"turns", "said"}),
    ("hotpotqa", "{chatter}{n}\nSearch[house]", {"turns", "raw"}),
    ("rewoo", "{chatter}{n}\nPlan: Look it up.\n#E1 = LLM[Who is it?]", {"turns", "fresh"}),
    slow("dbbench", "{chatter}{n}\nAction: Operation\n```sql\nSELECT 1;\n```", {"turns"}),
    slow("alfworld", "{chatter}{n}\nACTION: look", {"turns", "cut", "limit"}),
    slow("miniwob", '{chatter}{n}\nclickxpath //*[@id="nothing"]', {"turns", "fresh"}),
]


def features(attempt: Attempt) -> set[str]:
    """What an episode has in it."""
    turns = [call.turn for call in attempt.calls if not call.role and call.turn is not None]
    replies = [call.reply for call in attempt.calls if not call.role]
    said = [turn.said for turn in turns[1:]]
    found = {
        "one turn": len(turns) == 1,
        "judged": attempt.pending is not None,
        "turns": len(turns) > 1,
        "cut": any(turn.kept is not None for turn in turns),
        "said": any(text not in (None, reply) for text, reply in zip(said, replies, strict=False)),
        "limit": attempt.outcome == "limit",
        "raw": all(turn.raw is not None for turn in turns),
        "fresh": sum(turn.fresh for turn in turns[1:]) > 0,
    }
    return {name for name, there in found.items() if there}


@pytest.mark.parametrize(("task", "words", "here_for"), CASES)
def test_masked_text_is_the_replies_behind_their_prompts(
    tmp_path: Path, task: str, words: str, here_for: set[str]
):
    (tmp_path / "work").mkdir()
    attempt, model = asyncio.run(played(task, says(words), tmp_path / "work", Sampling()))
    assert here_for <= features(attempt), "this episode is not what it is here for"
    path = stored(tmp_path / "run.sqlite", [attempt])
    replies = [call.reply for call in attempt.calls if not call.role]
    forms = {form: exported(path, form)[0] for form in ("agentinstruct", "sharegpt", "openai")}
    encoding = tokenizer([*replies, *(call.prompt for call in attempt.calls)])
    wanted = [encoding.encode_ordinary(reply) for reply in replies]
    assert max(map(len, wanted)) > 1
    for form, lines in forms.items():
        assert [text for line in lines for text, counts in parts(form, line) if counts] == replies
        labels = [label for line in lines for label in labelled(encoding, parts(form, line))]
        assert [label for label in labels if label != LEFT_OUT] == [n for ids in wanted for n in ids]
    prompts = [call.prompt + call.ask.prefix for call in model.calls]
    assert [prompt for line in forms["openai"] for prompt in shown(line)] == prompts
    rewritten = [any(line["harness"]["rewritten"]) for line in forms["openai"]]
    assert any(rewritten) == ("said" in features(attempt))


def parts(form: str, line: dict[str, Any]) -> list[tuple[str, bool]]:
    """The texts of a line, each with whether it counts in the loss."""
    if form == "openai":
        return [(one["content"], bool(one.get("weight"))) for one in line["messages"]]
    flag = {"agentinstruct": "loss", "sharegpt": "train"}[form]
    return [(one["value"], bool(one[flag])) for one in line["conversations"]]


def labelled(encoding: Encoding, texts: list[tuple[str, bool]]) -> Iterator[int]:
    """A label for each token, as trainers make them of a conversation: each message is encoded by itself."""
    for text, counts in texts:
        ids = encoding.encode_ordinary(text)
        assert encoding.decode(ids) == text
        yield from ids if counts else [LEFT_OUT] * len(ids)


def shown(line: dict[str, Any]) -> list[str]:
    """What stood before each text that counts, as a template renders it."""
    about = line["harness"]
    before: list[Message] = []
    prompts: list[str] = []
    for index, one in enumerate(line["messages"]):
        if one.get("weight"):
            prompts.append(before[0].content if about["raw"] else render(before))
        text = about["said"][index] if about["rewritten"][index] else one["content"]
        before.append(Message(one["role"], text))
    return prompts


def test_ranked_choices_are_not_generated_and_old_calls_are_raw():
    choice = CallRecord(0, "Q?", "A", {"choice": 0})
    assert not any(one.trains for one in conversations([choice]))
    (old,) = conversations([CallRecord(0, "<s>[INST] Q? [/INST]", "an answer")])
    assert old.raw and old.trains
    assert [(part.role, part.loss) for part in old.parts] == [("user", False), ("assistant", True)]


def test_a_cut_or_rewritten_prompt_begins_another_conversation():
    ask, first = Ask(8), Message("user", "one")
    turns = [
        Turn((first,), ask=ask),
        Turn((Message("user", "two"),), ask=ask),
        Turn((Message("user", "three"),), ask=ask, kept=((0, 1), (3, 5))),
        Turn((Message("user", "four"),), ask=ask, kept=((0, 1), (3, 7)), changed=((0, 1, "N"),)),
    ]
    found = conversations([CallRecord(n, "", f"reply {n}", turn=turn) for n, turn in enumerate(turns)])
    assert [[(part.content, part.loss) for part in one.parts] for one in found] == [
        [("one", False), ("reply 0", True), ("two", False), ("reply 1", True)],
        [("one", False), ("reply 1", False), ("three", False), ("reply 2", True)],
        [
            ("oN", False),
            ("reply 1", False),
            ("three", False),
            ("reply 2", False),
            ("four", False),
            ("reply 3", True),
        ],
    ]
