"""Ranking choices by each method, and finding out which one an endpoint has."""

import json
import math
import re
from dataclasses import replace

import pytest
from fault_server import INFO, Behaviour, FaultServer, error

from harness.errors import RequestRejected, TokenBoundaryError, UsageError
from harness.models.api import Call, Options
from harness.models.clients.alternatives import first_choice, grammar, read_alternatives
from harness.models.connect import open_model
from harness.models.untrusted import Token
from harness.types import Ask, CallKey, Message

FAST = 1000.0  # seconds of the pool's clock in one
LONG = 60 * FAST  # a minute of a loaded machine
LETTERS = (" A", " B", " C", " D")
BARE = ("A", "B", "C", "D")
# Log-probabilities of the next token: the best letter is B only when " B" and "B" are added up.
NEXT = {" the": -0.3, " A": -2.0, " B": -2.1, "B": -2.2, " C": -4.0, " D": -5.0, "A": -9.0, " ": -6.0}


class Scoring(FaultServer):
    """Scores like a language model whose tokens are words with their leading space, as Llama's are."""

    def __init__(self, version, *, prefill=True, grammars=True, following=NEXT):
        super().__init__(info={**INFO, "version": version})
        self.prefill, self.grammars, self.following = prefill, grammars, following

    async def behave(self, how, seen, reader, writer):
        sent = seen.data["parameters"]
        assert sent["max_new_tokens"] in (1, 5) and sent["do_sample"] is False and "temperature" not in sent
        if "grammar" in sent and not self.grammars:
            return await super().behave(
                error(422, "Grammar is not supported", "validation"), seen, reader, writer
            )
        allowed = dict(self.following)
        if "grammar" in sent:
            pattern = re.compile(sent["grammar"]["value"])
            fits = {text for text in self.following if pattern.fullmatch(text) or text == " "}
            total = math.log(sum(math.exp(self.following[text]) for text in fits))
            allowed = {text: self.following[text] - total for text in fits}
        top = sorted(allowed, key=lambda text: -allowed[text])
        tokens = [{"id": hash(t) % 999, "text": t, "logprob": allowed[t], "special": False} for t in top]
        details = {"finish_reason": "length", "generated_tokens": 1, "seed": None, "tokens": tokens[:1]}
        details["prefill"] = []
        if sent.get("decoder_input_details") and self.prefill:
            words = re.findall(r" ?\S+| +", seen.data["inputs"])
            last = self.following.get(words[-1], -1.0)
            ids = [{"id": sum(map(ord, w)), "text": w, "logprob": -1.0} for w in words[:-1]]
            bos = [{"id": 1, "text": "<s>", "logprob": None}]
            details["prefill"] = [
                *bos,
                *ids,
                {"id": sum(map(ord, words[-1])), "text": words[-1], "logprob": last},
            ]
        if "top_n_tokens" in sent:
            details["top_tokens"] = [tokens[: sent["top_n_tokens"]]]
        text = "the answer: B." if sent["max_new_tokens"] == 5 else top[0]
        body = json.dumps({"generated_text": text, "details": details}).encode()
        return await super().behave(Behaviour(body=body), seen, reader, writer)


def call(choices, raw="Question\nAnswer:", sample="test/a/0"):
    ask = Ask(1, choices=choices)
    return Call(CallKey("mmlu", sample, 0, 0), (), raw, ask, deadline_s=LONG)


def open_at(server, **more):
    return open_model("agentlm-7b", endpoints=[server.url], options=Options(time_scale=FAST, **more))


async def test_g_is_the_best_and_adds_up_a_letter_with_and_without_space():
    async with Scoring("3.3.6") as server, open_at(server) as model:
        reply = await model.complete(call(LETTERS))
        assert (reply.method, reply.text, reply.choice, reply.notes) == ("G", " A", 0, ())
        reply = await model.complete(call(BARE))
        assert (reply.method, reply.text, reply.choice, reply.notes) == ("G", "B", 1, ())
        patterns = [seen.data["parameters"]["grammar"]["value"] for seen in server.seen]
        # Nine tokens fit the grammar and TGI lists five: the two halves are asked for as well.
        assert patterns[:2] == [" [ABCD]", " ?[ABCD]"] and sorted(patterns[2:]) == [" [ABCD]", "[ABCD]"]
        both = {letter: [NEXT[t] for t in (letter, f" {letter}") if t in NEXT] for letter in BARE}
        exact = [math.log(sum(map(math.exp, both[letter]))) for letter in BARE]
        assert [a - reply.logprobs[0] for a in reply.logprobs] == pytest.approx(
            [a - exact[0] for a in exact], abs=1e-9
        )


async def test_g_asks_no_more_where_the_listed_tokens_are_all_there_is():
    sure = {" C": -0.0001, " A": -10.0, " B": -11.0, " D": -12.0, "A": -14.0, "B": -15.0, " the": -3.0}
    async with Scoring("3.3.6", following=sure) as server, open_at(server) as model:
        reply = await model.complete(call(BARE))
        assert (reply.text, reply.notes, len(server.seen)) == ("C", (), 1)


@pytest.mark.parametrize("unknown", ["token_id:315", "c", " (", "\u0120\u0120C", "no such"])
async def test_nothing_is_ranked_by_floors_alone(unknown):
    tops = [{"id": 1, "text": unknown, "logprob": -0.1, "special": False}]
    named = Behaviour(top_tokens=tops)
    async with FaultServer(info=None, text="C", default=named) as server, open_at(server) as model:
        with pytest.raises(RequestRejected, match=f"{server.url} names none of ' A'"):
            await model.complete(call(LETTERS))
        assert len(server.seen) < 10  # refused at once, not until the deadline


async def test_p_where_grammars_are_missing():
    async with Scoring("1.0.3") as server, open_at(server) as model:
        reply = await model.complete(call(LETTERS))
        assert (reply.method, reply.text, reply.logprobs) == ("P", " A", (-2.0, -2.1, -4.0, -5.0))
        assert len(server.seen) == 5
        assert server.seen[0].data["inputs"] == "Question\nAnswer:"


async def test_p_refuses_a_choice_that_merges_with_the_prompts_last_space():
    async with Scoring("1.0.3") as server, open_at(server, choice_method="P") as model:
        with pytest.raises(TokenBoundaryError, match="merges"):
            await model.complete(call(BARE, raw="Question\nAnswer: "))
        assert (await model.complete(call(LETTERS))).method == "P"


async def test_t_where_nothing_better_works_and_says_what_it_imputed():
    for server in (
        Scoring("3.0.0", prefill=False, grammars=False),
        Scoring("1.0.3", prefill=False),
    ):
        async with server, open_at(server) as model:
            reply = await model.complete(call(LETTERS))
            assert (reply.method, reply.text) == ("T", " A")
            assert reply.logprobs == (-2.0, -2.1, -4.0, -100.0) and reply.notes == ("imputed:1",)
            before = len(server.seen)
            await model.complete(call(LETTERS))
            assert len(server.seen) == before + 1  # found out once, never per item


async def test_a_boundary_that_merges_falls_through_to_t():
    async with Scoring("1.0.3") as server, open_at(server) as model:
        reply = await model.complete(call(BARE, raw="Question\nAnswer: "))
        assert (reply.method, reply.text) == ("T", "B")


async def test_f_only_when_it_is_asked_for():
    async with Scoring("3.3.6") as server, open_at(server, choice_method="F") as model:
        reply = await model.complete(call(LETTERS))
        assert (reply.method, reply.choice, reply.logprobs) == ("F", 1, None)
    with pytest.raises(UsageError, match="G, P, T, O or F"):
        async with Scoring("3.3.6") as server, open_at(server, choice_method="X"):
            pass


async def test_a_server_that_cannot_rank_says_so_and_is_not_asked_for_text():
    async with FaultServer(info=None, text="B") as server, open_at(server) as model:
        with pytest.raises(RequestRejected, match="alternatives"):
            await model.complete(call(LETTERS))


async def test_a_server_that_ignores_grammars_is_noticed():
    tops = [
        {"id": i, "text": text, "logprob": -0.1 - i, "special": False}
        for i, text in enumerate((" the", " B"))
    ]
    deaf = FaultServer(info=None, text=" the", default=Behaviour(top_tokens=tops))
    async with deaf as server, open_at(server) as model:
        assert (await model.complete(call(LETTERS))).method == "T"


async def test_a_refusal_of_the_call_does_not_cost_a_method(tmp_path):
    file = tmp_path / "r.jsonl"
    file.write_text(json.dumps({"task": "mmlu", "sample": "test/a/0", "replies": ["C"]}))
    async with open_model(f"replay:{file}") as model:
        with pytest.raises(RequestRejected, match="test/b/7"):
            await model.complete(call(LETTERS, sample="test/b/7"))
        reply = await model.complete(call(LETTERS))
        assert (reply.method, reply.text) == ("G", " C")
        chat = replace(call(BARE), messages=(Message("user", "q"),), raw=None)
        assert (await model.complete(chat)).text == "C"


async def test_replayed_word_choices(tmp_path):
    file = tmp_path / "r.jsonl"
    file.write_text(json.dumps({"task": "mmlu", "sample": "test/a/0", "replies": ["no|never (x)"]}))
    async with open_model(f"replay:{file}") as model:
        reply = await model.complete(call(("yes", "no|never (x)", "may\\be")))
        assert (reply.choice, reply.text) == (1, "no|never (x)")


def test_grammars_match_exactly_the_choices():
    for choices in (LETTERS, BARE, ("yes (sure)", "no|never"), (" x.y", " [z]")):
        pattern = re.compile(grammar(choices)["value"])
        assert all(pattern.fullmatch(choice) for choice in choices)
        assert not pattern.fullmatch("E") and not pattern.fullmatch("")


def test_alternatives():
    tokens = [
        Token(text="\u2581B", logprob=-1.0),
        Token(text="B"),
        Token(text="x", logprob=-9),
    ]
    assert read_alternatives(tokens, LETTERS) == [None, -1.0, None, None]
    assert read_alternatives([], LETTERS) is None
    assert read_alternatives([Token(text="A", logprob=-math.inf)], LETTERS) is None
    assert read_alternatives([Token(text="\u0120C", logprob=-2.0)], LETTERS) == [None, None, -2.0, None]
    for unknown in ("a", " (", "token_id:315", "\u0120\u0120C"):
        assert read_alternatives([Token(text=unknown, logprob=-0.1)], LETTERS) is None


def test_first_choice_is_a_word():
    assert first_choice("A bad Answer: C", ("B", "C")) == 1
    assert first_choice("BAD", ("A", "B")) is None
    assert first_choice("D then A", ("A", "D")) == 1
