"""The protocol of a local model: TGI's bodies, texts of refusals, streams, offsets and numbers."""

from __future__ import annotations

import asyncio
import re

import pytest
from local_server import asked, ids, local, prompts
from openapi import check
from tiny_model import needed, write_tiny

from harness.models.local import grammar

PROMPT = "Question: how many apples? Answer:"
CHOICES = (" A", " B", " C", " D")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("tiny"), positions=128)


@pytest.fixture(scope="module")
def direct(tiny):
    """Log-probabilities (position, vocabulary) of a text's next tokens, by transformers itself."""
    torch, transformers = needed("torch"), needed("transformers")
    torch.set_num_threads(1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny)
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny).eval()

    def logprobs(text: str):
        found = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            return found[0].tolist(), model(found).logits[0].log_softmax(-1)

    return tokenizer, logprobs


async def test_bodies_fit_tgis_schemas(tiny, openapi):
    async with local(tiny) as server:
        body = await server.generate(PROMPT, max_new_tokens=6, top_n_tokens=3, decoder_input_details=True)
        check(openapi, "GenerateResponse", body)
        details = body["details"]
        assert details["generated_tokens"] == len(details["tokens"]) == len(details["top_tokens"])
        assert all(len(top) == 3 for top in details["top_tokens"])
        assert all(
            top[0]["id"] == one["id"]
            for top, one in zip(details["top_tokens"], details["tokens"], strict=True)
        )
        assert details["prefill"][0]["logprob"] is None and details["seed"] is None
        found = await server.stream(PROMPT, max_new_tokens=6, details=True, top_n_tokens=3)
        for event in found:
            check(openapi, "StreamResponse", event)
        status, listed = await server.post("/", PROMPT, max_new_tokens=6)
        assert (status, listed) == (200, [{"generated_text": body["generated_text"]}])
        _, tokens = await server.post("/tokenize", PROMPT)
        check(openapi, "TokenizeResponse", tokens)
        async with server.session.get(server.url + "/info") as answer:
            info = await answer.json()
        check(openapi, "Info", info)
        assert (info["max_input_tokens"], info["max_total_tokens"], info["version"]) == (127, 128, "3.3.6")


async def test_a_stream_has_one_event_a_token_and_ends_with_the_whole_text(tiny):
    async with local(tiny) as server:
        whole = await server.generate(PROMPT, max_new_tokens=30, repetition_penalty=1.7)
        found = await server.stream(PROMPT, max_new_tokens=30, repetition_penalty=1.7, details=True)
    assert [event["token"] for event in found] == whole["details"]["tokens"]
    assert [event["index"] for event in found] == [*range(1, len(found) + 1)]
    assert {event["generated_text"] for event in found[:-1]} == {None}
    assert found[-1]["generated_text"] == whole["generated_text"]
    last = found[-1]["details"]
    assert last["generated_tokens"] == len(found) and last["input_length"] > 5
    assert last["finish_reason"] == whole["details"]["finish_reason"]


async def test_a_character_of_several_tokens_is_told_with_its_last_one(tiny):
    async with local(tiny) as server:
        vocabulary = server.service.loaded.vocabulary
        from harness.models.local.vocabulary import Writing

        written = Writing(vocabulary, vocabulary.encode("apples"))
        spelled = [written.add(token) for token in vocabulary.encode("two \u4e2d\u00e9!")[1:]]
        assert "".join(spelled).strip() == "two \u4e2d\u00e9!" and spelled.count("") >= 3
        assert all("\ufffd" not in piece for piece in spelled)
        tokens = vocabulary.rows("two \u4e2d\u00e9!")
        data = "two \u4e2d\u00e9!".encode()
        assert tokens[0] == {"id": 1, "text": "", "start": 0, "stop": 0}
        for token in tokens[1:]:
            assert data[token["start"] : token["stop"]].decode(errors="replace") == token["text"]
        assert tokens[-1]["stop"] == len(data)


async def test_an_eos_as_the_last_allowed_token_is_eos_token(tiny):
    async with local(tiny) as server:
        first = await server.generate(PROMPT, max_new_tokens=3)
        object.__setattr__(server.service.loaded, "ends", (ids(first)[2],))
        again = await server.generate(PROMPT, max_new_tokens=3)
        assert again["details"]["finish_reason"] == "eos_token"
        assert (await server.generate(PROMPT, max_new_tokens=2))["details"]["finish_reason"] == "length"


async def test_a_stop_string_counts_at_the_end_of_a_token_only(tiny):
    async with local(tiny) as server:
        free = await server.generate(PROMPT, max_new_tokens=20, repetition_penalty=1.7)
        pieces = [token["text"] for token in free["details"]["tokens"]]
        at = next(i for i, piece in enumerate(pieces) if i > 2 and len(piece.strip()) > 2)
        ended = await server.generate(
            PROMPT, max_new_tokens=20, repetition_penalty=1.7, stop=[pieces[at][-2:]]
        )
        assert ended["details"]["finish_reason"] == "stop_sequence"
        assert ended["generated_text"].endswith(pieces[at][-2:]), "the stop string is part of the text"
        inside = "".join(pieces[at - 1 : at])[-1:] + pieces[at][:2]
        missed = await server.generate(PROMPT, max_new_tokens=20, repetition_penalty=1.7, stop=[inside])
        assert ids(missed) == ids(free), "a token that goes on after it is not cut; clients cut it"


REFUSED = {
    "`temperature` must be strictly positive": {"temperature": 0.0},
    "`repetition_penalty` must be strictly positive": {"repetition_penalty": -1.0},
    "`frequency_penalty` must be >= -2.0 and <= 2.0": {"frequency_penalty": 3.0},
    "`top_p` must be > 0.0 and < 1.0": {"top_p": 1.0},
    "`typical_p` must be > 0.0 and < 1.0": {"typical_p": 1.0},
    "`top_k` must be strictly positive": {"top_k": 0},
    "`max_new_tokens` must be strictly positive": {"max_new_tokens": 0},
    "`top_n_tokens` must be >= 0 and <= 5. Given: 6": {"top_n_tokens": 6},
    "`stop` supports up to 4 stop sequences. Given: 5": {"stop": list("abcde")},
    "`truncate` must be strictly positive and less than 127. Given: 0": {"truncate": 0},
    "you must use sampling when `best_of` is > 1": {"best_of": 2},
    "`seed` must not be set when `best_of` > 1": {"best_of": 2, "do_sample": True, "seed": 1},
    "`best_of` != 1 is not allowed for this endpoint": {"best_of": 2, "do_sample": True},
    "`inputs` tokens + `max_new_tokens` must be <= 128. Given: 3 `inputs` tokens and 500 `max_new_tokens`": {
        "max_new_tokens": 500
    },
    "grammar is not supported: a local model takes regular expressions, no json": {
        "grammar": {"type": "json", "value": {}}
    },
    "grammar is not valid: ": {"grammar": {"type": "regex", "value": "(a"}},
}


@pytest.mark.parametrize("text", REFUSED)
async def test_refusals_have_tgis_words(tiny, openapi, text):
    async with local(tiny) as server:
        status, body = await server.post("/generate", "a", **REFUSED[text])
        assert status == 422 and body["error_type"] == "validation"
        assert body["error"].startswith(f"Input validation error: {text}")
        check(openapi, "ErrorResponse", body)
        assert await server.stream("a", **REFUSED[text]) == [
            body if not text.startswith(("you must", "`seed` must", "`best_of`")) else BEST_OF
        ]


BEST_OF = {
    "error": "Input validation error: `best_of` != 1 is not supported when streaming tokens",
    "error_type": "validation",
}


async def test_other_bad_bodies(tiny):
    async with local(tiny) as server:
        cases = [
            (b"{", "application/json", 400, "Failed to parse the request body as JSON"),
            (b'{"inputs": 3}', "application/json", 422, "Failed to deserialize the JSON body"),
            (b'{"inputs": "a"}', "text/plain", 415, "Content-Type: application/json"),
        ]
        for data, kind, status, text in cases:
            headers = {"Content-Type": kind}
            async with server.session.post(server.url + "/generate", data=data, headers=headers) as answer:
                assert (answer.status, answer.content_type) == (status, "text/plain")
                assert text in await answer.text()
        for inputs, told in (("", "`inputs` cannot be empty"), ("x" * 10_000_000, "less than 128 tokens")):
            status, body = await server.post("/generate", inputs, max_new_tokens=1)
            assert status == 422 and told in body["error"]
        assert (await server.post("/generate", "\ud800", max_new_tokens=1))[0] == 200


async def test_too_many_requests_are_refused_at_once(tmp_path):
    async with local(write_tiny(tmp_path, positions=4096), concurrent=2) as server:
        body = asked("a", {"max_new_tokens": 4000})  # greedily it never ends
        held = [await server.session.post(server.url + "/generate_stream", json=body) for _ in range(2)]
        status, told = await server.post("/generate", "a", max_new_tokens=1)
        assert (status, told) == (429, {"error": "Model is overloaded", "error_type": "overloaded"})
        assert await server.stream("a", max_new_tokens=1) == [told]
        for answer in held:
            answer.close()
        await server.until(lambda: not server.service.busy)
        assert (await server.post("/generate", "a", max_new_tokens=1))[0] == 200
        async with server.session.get(server.url + "/metrics") as answer:
            told = await answer.text()
        assert re.search(r"^tgi_request_success 1$", told, re.MULTILINE)
        assert 'tgi_request_failure{err="overloaded"} 2' in told
        assert 'tgi_request_failure{err="cancelled"} 2' in told


async def test_truncate_keeps_the_last_tokens(tiny, direct):
    tokenizer, _ = direct
    async with local(tiny) as server:
        body = await server.generate(PROMPT, max_new_tokens=1, truncate=4, decoder_input_details=True)
        kept = [token["id"] for token in body["details"]["prefill"]]
        assert kept == tokenizer(PROMPT)["input_ids"][-4:]


async def test_numbers_are_those_of_transformers(tiny, direct):
    _, logprobs = direct
    found, table = logprobs(PROMPT)
    async with local(tiny) as server:
        body = await server.generate(PROMPT, max_new_tokens=1, top_n_tokens=5, decoder_input_details=True)
        prefill = body["details"]["prefill"]
        assert [token["id"] for token in prefill] == found
        own = [float(table[i, token]) for i, token in enumerate(found[1:])]
        assert [token["logprob"] for token in prefill[1:]] == pytest.approx(own, abs=1e-4)
        best = table[-1].topk(5)
        top = body["details"]["top_tokens"][0]
        assert [token["id"] for token in top] == best.indices.tolist()
        assert [token["logprob"] for token in top] == pytest.approx(best.values.tolist(), abs=1e-4)


def named_by_random_weights(logprobs, letters):
    """A prompt after which one of the letters is among the five likeliest tokens, with its numbers."""
    for prompt in prompts(1000, 3, longest=10):
        _, table = logprobs(prompt)
        if set(letters) & set(table[-1].topk(5).indices.tolist()):
            return prompt, table
    raise AssertionError("no prompt has a letter among its likeliest tokens")


@pytest.mark.parametrize("method", ["G", "P", "T"])
async def test_choice_methods_are_a_direct_computation(tiny, direct, method):
    from harness.models.api import Call, Options
    from harness.models.connect import open_model
    from harness.types import Ask, CallKey

    tokenizer, logprobs = direct
    letters = [tokenizer.convert_tokens_to_ids("\u2581" + choice.strip()) for choice in CHOICES]
    prompt, table = (
        named_by_random_weights(logprobs, letters) if method == "T" else (PROMPT, logprobs(PROMPT)[1])
    )
    exact = table[-1][letters]
    if method == "G":
        exact = exact.log_softmax(-1)
    call = Call(CallKey("mmlu", "x", 0, 0), (), prompt, Ask(1, choices=CHOICES))
    async with open_model(f"hf:{tiny}", options=Options(choice_method=method)) as model:
        reply = await model.complete(call)
    known = [i for i, value in enumerate(reply.logprobs) if value > -100]
    assert reply.method == method and known and (method == "T" or known == [0, 1, 2, 3])
    assert [reply.logprobs[i] for i in known] == pytest.approx([float(exact[i]) for i in known], abs=1e-4)
    if method != "T":
        assert reply.choice == int(exact.argmax())


async def test_sampling_is_each_requests_own(tiny):
    async with local(tiny, batch=16) as server:

        def ask(seed, **more):
            return server.generate(PROMPT, max_new_tokens=12, seed=seed, **{"temperature": 0.8, **more})

        alone = [ids(await ask(seed)) for seed in range(1, 7)]
        together = await asyncio.gather(*(ask(seed) for seed in range(1, 7)))
        assert [ids(body) for body in together] == alone and len({*map(tuple, alone)}) == 6
        assert [body["details"]["seed"] for body in together] == [*range(1, 7)]
        greedy = ids(await server.generate(PROMPT, max_new_tokens=12))
        assert ids(await ask(3, top_k=1)) == ids(await ask(4, top_p=1e-6)) == greedy
        assert ids(await ask(3, temperature=1e-3)) == greedy
        first = await server.generate(PROMPT, max_new_tokens=3, do_sample=True)
        assert first["details"]["seed"] is not None
        unlike = await server.generate(PROMPT, max_new_tokens=12, repetition_penalty=1e6)
        assert len({*ids(unlike)}) == len(ids(unlike)), "what was written is never taken again"
        texts = [ids(await ask(seed, typical_p=0.2)) for seed in (1, 1, 2)]
        assert texts[0] == texts[1] != texts[2]


async def test_an_answer_matches_its_regular_expression(tiny):
    async with local(tiny, batch=8) as server:
        patterns = ["(yes|never mind|two apples)", "[0-9]{3}-[a-f]+\\.", "\u4e2d?(a|b)*c"]
        asks = [
            server.generate(
                PROMPT,
                max_new_tokens=60,
                grammar={"type": "regex", "value": pattern},
                seed=seed,
                temperature=2.0,
            )
            for pattern in patterns
            for seed in range(1, 7)
        ]
        for number, body in enumerate(await asyncio.gather(*asks)):
            pattern = patterns[number // 6]
            if body["details"]["finish_reason"] == "eos_token":
                assert re.fullmatch(pattern, body["generated_text"]), (pattern, body["generated_text"])
            else:
                assert body["details"]["generated_tokens"] == 60 and number >= 6


async def test_a_grammar_that_cannot_go_on_fails_its_own_request_only(tiny, monkeypatch):
    monkeypatch.setattr(grammar, "MOST_STATES", 2)
    async with local(tiny, batch=4) as server:
        alone = await server.generate(PROMPT, max_new_tokens=12)
        bad, good = await asyncio.gather(
            server.post(
                "/generate", PROMPT, grammar={"type": "regex", "value": "abcdefgh"}, max_new_tokens=12
            ),
            server.generate(PROMPT, max_new_tokens=12),
        )
    assert bad[0] == 424 and "more than 2 states" in bad[1]["error"]
    assert ids(good) == ids(alone)
