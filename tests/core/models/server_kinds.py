"""Loopback servers that behave as real ones were measured to behave, with a small language model of words.

The model gives every next token the same distribution, so that what a test wants to see can be computed by
hand. `VllmLike` names alternatives by decoded text, in which ` A` and `A` are one key (the later wins),
unless token ids are asked for; it has /tokenize, /detokenize, `echo` and `truncate_prompt_tokens`, and adds
the penalty of its generation_config.json. `LlamaCppLike` draws from the 40 likeliest tokens unless it is told
otherwise, refuses `echo`, takes token ids as a prompt and any number of logprobs. `TransformersLike` ignores
the temperature and refuses fields that it does not know. `LlamaCppPythonLike` penalises repetition by itself.
"""

import asyncio
import hashlib
import json
import math
import random
import re

from fault_server import Behaviour, FaultServer, write

# Log-probabilities of the next token. ▁A and A are different tokens that decode to the same text when alone.
NEXT = {"▁the": -0.6, "▁A": -2.0, "▁B": -1.6, "A": -1.7, "▁C": -4.0, "C": -3.2, "B": -6.0, "D": -7.5}
FAR = {"▁D": -9.0}
"""A letter that is among the likeliest tokens only when more than twenty are listed."""

WORDS = [f"▁w{i}" for i in range(130)]
TAIL = {word: -4.5 - i / 100 for i, word in enumerate(WORDS)}
ALL = NEXT | TAIL | FAR
VOCABULARY = ["<s>", *ALL]


def ranked():
    return sorted(ALL, key=lambda token: -ALL[token])


def pieces(text):
    """Tokens of a text: words with their leading space; a letter behind a colon stands alone."""
    return [part.replace(" ", "▁") for part in re.findall(r" ?[^\s:]+|:|\s", text)]


def ids(text):
    for piece in pieces(text):
        if piece not in VOCABULARY:
            VOCABULARY.append(piece)
    return [0, *map(VOCABULARY.index, pieces(text))]


def decoded(tokens):
    """Decode as SentencePiece does: the space of the first token is dropped."""
    return "".join(VOCABULARY[token] for token in tokens if token).replace("▁", " ").removeprefix(" ")


def exact(letter):
    """The log-probability of a letter with or without its space."""
    values = [math.exp(ALL[form]) for form in (letter, f"▁{letter}") if form in ALL]
    return math.log(sum(values))


class ServerLike(FaultServer):
    """What the kinds have in common: greedy text, drawn text, stop strings, alternatives."""

    owner = ""
    widest = 20
    most_context = 10_000
    refused = ()

    def __init__(self, **more):
        super().__init__(info=None, **more)
        row = {"id": "THUDM/agentlm-7b", "object": "model"} | ({"owned_by": self.owner} if self.owner else {})
        self.models = {"object": "list", "data": [row]}
        self.pages = {}

    async def answer(self, seen, reader, writer):
        if seen.path in self.pages:
            return await write(writer, Behaviour(), json.dumps(self.pages[seen.path]).encode())
        if not seen.path.startswith("/v1/") and seen.path != "/health":
            return await write(writer, Behaviour(404), b'{"error": "no such path"}')
        return await super().answer(seen, reader, writer)

    async def behave(self, how, seen, reader, writer):
        if how.body is None and (refusal := self.refusal(seen.data)):
            how = Behaviour(400, json.dumps({"error": {"message": refusal}}).encode())
        if how.body is None:
            how = Behaviour(body=json.dumps(self.completion(seen)).encode())
        await asyncio.sleep(0)
        return await super().behave(how, seen, reader, writer)

    def refusal(self, data):
        if unknown := sorted(set(self.refused) & data.keys()):
            return f"Unexpected keys in the request: {unknown}"
        width = data.get("top_logprobs", data.get("logprobs")) or 0
        return f"Requested logprobs {width} above {self.widest}" if width > self.widest else ""

    def prompt_ids(self, data):
        prompt = data.get("prompt", "")
        found = prompt if isinstance(prompt, list) else ids(prompt)
        most = data.get("truncate_prompt_tokens")
        return found[-most:] if most and self.cuts else found

    cuts = False

    def completion(self, seen):
        data = seen.data
        words = self.words(data)
        text = "".join(words)
        for stop in data.get("stop") or ():
            text = text.partition(stop)[0]
        given = self.prompt_ids(data)
        choice = {"index": 0, "finish_reason": "length", "text": text, "logprobs": self.logprobs(data, given)}
        if seen.path == "/v1/chat/completions":
            choice["message"] = {"role": "assistant", "content": choice.pop("text")}
        usage = {"prompt_tokens": len(given), "completion_tokens": len(words)}
        return {"choices": [choice], "usage": usage}

    def words(self, data):
        """Greedy text is w0 w1 w2 ...; a penalty that the server adds changes it after the second word."""
        count = data["max_tokens"]
        if not self.temperature(data):
            start = 20 if self.penalty(data) else 0
            return [f" w{i if i < 2 else (i + start) % 60}" for i in range(count)]
        key = json.dumps(data.get("prompt", data.get("messages"))) + str(self.seed(data))
        draw = random.Random(hashlib.sha256(key.encode()).digest())
        kept = ranked()[: self.top_k(data) or None]
        weights = [math.exp(ALL[token]) for token in kept]
        return [token.replace("▁", " ") for token in draw.choices(kept, weights, k=count)]

    def temperature(self, data):
        return data.get("temperature", 1.0)

    def seed(self, data):
        return data.get("seed")

    def top_k(self, data):
        return max(0, data.get("top_k", 0))

    def penalty(self, data):
        return False

    def logprobs(self, data, given):
        width = data.get("logprobs")
        if not width:
            return None
        top = [(token, ALL[token]) for token in ranked()[:width]]
        return {"top_logprobs": [{token.replace("▁", " ").removeprefix(" "): value for token, value in top}]}


class VllmLike(ServerLike):
    owner = "vllm"
    cuts = True
    detokenizes = True

    async def answer(self, seen, reader, writer):
        if seen.path == "/tokenize":
            return await write(writer, Behaviour(), json.dumps({"tokens": ids(seen.data["prompt"])}).encode())
        if seen.path == "/detokenize" and self.detokenizes:
            text = decoded(seen.data["tokens"])
            return await write(writer, Behaviour(), json.dumps({"prompt": text}).encode())
        return await super().answer(seen, reader, writer)

    def penalty(self, data):
        return data.get("repetition_penalty", 1.2) != 1.0

    def logprobs(self, data, given):
        width = data.get("logprobs")
        if not width:
            return None
        as_ids = data.get("return_tokens_as_token_ids")

        def name(token):
            number = VOCABULARY.index(token)
            return f"token_id:{number}" if as_ids else decoded([number])

        top = {}
        for token in reversed(ranked()[:width]):  # the later of two equal keys wins, here the likelier
            top[name(token)] = ALL[token]
        if not data.get("echo"):
            return {"top_logprobs": [top]}
        texts = [VOCABULARY[number] for number in given]
        values = [None, *(ALL.get(text, -1.0) for text in texts[1:])]
        return {
            "tokens": [*map(name, texts), name("▁the")],
            "token_logprobs": [*values, ALL["▁the"]],
            "top_logprobs": [None],
        }


class LlamaCppLike(ServerLike):
    owner = "llamacpp"
    widest = 1 << 20

    async def answer(self, seen, reader, writer):
        if seen.path == "/tokenize":
            found = {"tokens": ids(seen.data["content"])}
            return await write(writer, Behaviour(), json.dumps(found).encode())
        return await super().answer(seen, reader, writer)

    def top_k(self, data):
        return data.get("top_k", 40)

    def penalty(self, data):
        return False

    def refusal(self, data):
        return "Only no echo is supported" if data.get("echo") else super().refusal(data)

    def logprobs(self, data, given):
        width = data.get("logprobs")
        if not width:
            return None
        top = [
            {"id": VOCABULARY.index(t), "token": t.replace("▁", " "), "logprob": ALL[t]}
            for t in ranked()[:width]
        ]
        return {"content": [{"id": 1, "token": top[0]["token"], "logprob": -0.6, "top_logprobs": top}]}


class LlamaCppPythonLike(ServerLike):
    owner = "me"

    def top_k(self, data):
        return data.get("top_k", 40)

    def penalty(self, data):
        return data.get("repeat_penalty", 1.1) != 1.0


class TransformersLike(ServerLike):
    """Its list of models names their authors, so that it is known by its paths only."""

    owner = "somebody"
    refused = ("top_k", "min_p", "repetition_penalty", "repeat_penalty", "typical_p", "logprobs")

    def __init__(self, **more):
        super().__init__(**more)
        paths = ("/v1/chat/completions", "/v1/responses", "/v1/audio/transcriptions", "/v1/models")
        self.pages = {"/openapi.json": {"info": {"title": "FastAPI"}, "paths": {path: {} for path in paths}}}

    def temperature(self, data):
        return 0.0
