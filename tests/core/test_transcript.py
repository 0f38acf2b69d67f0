"""From stored turns and replies alone every prompt comes back as it was sent."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from harness import history
from harness.errors import StoreError
from harness.running.conversation import Conversation
from harness.storage import transcript
from harness.storage.records import Attempt, CallRecord, Turn
from harness.storage.store import Store
from harness.types import Ask, Message, Observation, Reply

WORDS = (
    "go",
    "to",
    "the",
    "art studio",
    "substance",
    "(open)",
    "42",
    "\n",
    "</s>",
    "é",
    "😀",
    "\ud83d",
    "\x00",
)


def render(messages: Sequence[Message]) -> str:
    """Llama-2's turns: they strip what they show, as most templates do."""
    text = ""
    for message in messages:
        content = message.content.strip()
        text += (
            f" {content} </s><s>"
            if message.role == "assistant"
            else f"[INST] <{message.role}>{content} [/INST]"
        )
    return text


@dataclass
class Player:
    """Does with an observation what the loop does, and remembers the prompts it sent."""

    policy: str
    calls: list[CallRecord] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    last: Turn | None = None

    def __post_init__(self) -> None:
        self.talk = Conversation(self.policy, render, ("\n\n(", " gone)"))

    def play(self, observations: Sequence[Observation], say: Callable[[], str]) -> None:
        reply: Reply | None = None
        for n, observation in enumerate(observations):
            self.talk.observe(observation, reply)
            if self.calls:
                self.calls[-1] = replace(self.calls[-1], info=observation.info)
            if observation.ask is None:
                self.last = self.talk.turn(observation, None)
                return
            raw = observation.raw
            prompt = (raw if raw is not None else render(self.talk.shown())) + observation.ask.prefix
            reply = Reply(say())
            turn = self.talk.turn(observation, observation.ask)
            self.prompts.append(prompt)
            self.calls.append(CallRecord(n, prompt, reply.text, {"seed": n}, turn=turn))


def words(rng: random.Random, most: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.randrange(most)))


def opening(rng: random.Random) -> tuple[Message, ...]:
    shots = [
        Message(("user", "assistant")[i % 2], words(rng, 40), "shot") for i in range(2 * rng.randrange(6))
    ]
    head = [Message("system", words(rng, 30)), Message("user", words(rng, 30)), Message("assistant", "OK")]
    return (*head, *shots, Message("user", words(rng, 40) + "task", "task"))


def observations(rng: random.Random, turns: int) -> list[Observation]:
    """A long episode with everything an observation can do."""
    found: list[Observation] = []
    for n in range(turns):
        fresh = n > 0 and rng.random() < 0.05
        messages = opening(rng) if n == 0 or fresh else (Message("user", words(rng, 60)),)
        if rng.random() < 0.05:
            messages = (*messages, Message("function", words(rng, 10)))
        stop = rng.choice([(), ("</s>",), ("\n", "Observation")])
        ask = Ask(rng.choice([16, 512]), stop, prefix=rng.choice(["", "", "Thought:"]))
        if rng.random() < 0.1:
            ask = replace(ask, temperature=0.5, top_p=0.0, choices=("A", "B"), truncate=100)
        said = words(rng, 10) if rng.random() < 0.3 else None
        raw = words(rng, 80) if rng.random() < 0.1 else None
        info = {"reward": rng.random()} if rng.random() < 0.7 else {}
        found.append(Observation(messages, ask, fresh=fresh, said=said, raw=raw, info=info))
    last = Observation((Message("user", words(rng, 60)),), done=True, info={"won": True})
    return [*found, last] if rng.random() < 0.7 else found


def stored(player: Player, path: Path) -> tuple[list[CallRecord], Turn | None]:
    store = Store(path)
    attempt = Attempt("t", 1, "a", 0, outcome="scored", value=1.0, calls=player.calls, last=player.last)
    store.add(attempt)
    store.close()
    store = Store(path, readonly=True)
    found = store.calls(1), store.last(1)
    store.close()
    return found


@pytest.mark.parametrize(
    "policy",
    [
        *("none", "segments-120", "segments-120-verbatim", "segments-900"),
        *("pairs-300-estimate", "pairs-60-estimate"),
    ],
)
@pytest.mark.parametrize("seed", range(6))
def test_every_prompt_comes_back_from_turns_and_replies(tmp_path: Path, policy: str, seed: int):
    rng = random.Random(f"{policy} {seed}")
    player = Player(policy)
    player.play(observations(rng, 45), lambda: words(rng, 25))
    calls, last = stored(player, tmp_path / "run.sqlite")
    assert list(transcript.prompts(calls, render)) == player.prompts
    assert calls == player.calls
    assert last == player.last


def test_the_policies_of_this_test_do_cut():
    """Without a cut and a rewritten head the test above would say nothing about them."""
    for policy, rewrites in (("segments-120-verbatim", True), ("pairs-300-estimate", False)):
        rng = random.Random(policy)
        player = Player(policy)
        player.play(observations(rng, 45), lambda rng=rng: words(rng, 25))
        turns = [call.turn for call in player.calls if call.turn is not None]
        assert any(turn.kept is not None and len(turn.kept) > 1 for turn in turns)
        assert any(turn.changed for turn in turns) == rewrites
        assert all(len(turn.kept or ()) <= 4 for turn in turns)


def test_a_policy_that_rewrites_and_drops_at_will_is_recorded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    rng = random.Random(5)

    def at_will(messages: Sequence[Message], *_: object) -> list[Message]:
        shown: list[Message] = []
        for message in messages:
            if rng.random() < 0.6:
                cut = rng.randrange(len(message.content) + 1)
                edited = replace(message, content=message.content[:cut] + words(rng, 3))
                shown.append(edited if rng.random() < 0.3 else message)
        return shown

    monkeypatch.setattr(history, "policy", lambda *_: (at_will, "estimate"))
    player = Player("at will")
    player.play(observations(rng, 60), lambda: words(rng, 25))
    calls, _ = stored(player, tmp_path / "run.sqlite")
    assert list(transcript.prompts(calls, render)) == player.prompts


def test_a_policy_that_invents_a_message_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(history, "policy", lambda *_: (lambda *_: [Message("function", "new")], "estimate"))
    with pytest.raises(ValueError, match="shows a function message that the conversation does not hold"):
        Player("inventive").play([Observation((Message("user", "hi"),), Ask(1))], str)


def test_a_call_without_its_turn_is_named():
    calls = [CallRecord(0, "judge", "7", role="judge"), CallRecord(3, "prompt", "reply")]
    with pytest.raises(StoreError, match="call 3 was stored without its turn"):
        list(transcript.prompts(calls, render))


def test_a_conversation_records_nothing_of_a_raw_prompt():
    player = Player("segments-10")
    long = (Message("user", "many words " * 20), Message("assistant", "OK"), Message("user", "more " * 30))
    player.play([Observation(long, Ask(1)), Observation(raw="raw", ask=Ask(1))], str)
    first, second = (call.turn for call in player.calls)
    assert first is not None and second is not None
    assert first.kept is not None
    assert (second.kept, second.changed, second.raw) == (None, (), "raw")
