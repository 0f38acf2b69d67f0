"""What `harness doctor --model` shows of a model's chat templates."""

import asyncio
import json

import pytest
from aiohttp import web
from fault_server import INFO, Behaviour, FaultServer, write
from loopback_server import serving
from reference_templates import FOLDER

from harness.checks.models import doctor_model
from harness.templates import template

BOS, NAMED = 1, {"</s>": 2, "<|im_start|>": 7, "<|im_end|>": 8}


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Writes a models file with one model, and returns its name."""

    def file(used, kind="tgi"):
        path = tmp_path / "models.toml"
        path.write_text(
            f'[mine]\nkind = "{kind}"\nhf = "me/mine"\nwire_name = "me/mine"\ntemplate = "{used}"\n'
        )
        monkeypatch.setenv("HARNESS_MODELS", str(path))
        return "mine"

    return file


async def doctor(name, url):
    findings = await asyncio.to_thread(doctor_model, name, [url])
    return {finding.name: finding for finding in findings if finding.name != url}, findings


def ids(text):
    """A tokenizer that knows some special tokens, and else has one token for each character."""
    return [NAMED[text]] if text in NAMED else [100 + ord(character) for character in text]


class Tokenizing(FaultServer):
    """Tokenizes as TGI does, with a BOS token before every text."""

    async def answer(self, seen, reader, writer):
        if seen.path != "/tokenize":
            return await super().answer(seen, reader, writer)
        rows = [{"id": one, "text": "", "start": 0, "stop": 0} for one in (BOS, *ids(seen.data["inputs"]))]
        return await write(writer, Behaviour(), json.dumps(rows).encode())


def tgi():
    return Tokenizing(info={**INFO, "model_id": "me/mine"})


def completions(field=""):
    """A completions server; `field` is where its /tokenize looks for the text, if it has one."""

    async def tokenize(request):
        sent = await request.json()
        return web.json_response({"tokens": ids(sent[field]), "count": 1})

    async def models(_):
        return web.json_response({"data": [{"id": "me/mine"}]})

    async def complete(_):
        return web.json_response({"choices": [{"text": "Hello.", "finish_reason": "stop"}]})

    app = web.Application()
    app.router.add_get("/v1/models", models)
    app.router.add_post("/v1/completions", complete)
    if field:
        app.router.add_post("/tokenize", tokenize)
    return serving(app)


async def test_two_turns_and_the_ids_of_special_tokens_are_shown(own):
    async with tgi() as server:
        named, _ = await doctor(own("chatml"), server.url)
    assert json.loads(named["template chatml"].state.removeprefix("writes two turns as ")) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello.<|im_end|>\n"
        "<|im_start|>assistant\nGood day.<|im_end|>\n<|im_start|>user\nGoodbye.<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert named["special tokens"].state == f"have the ids <|im_start|> 7, <|im_end|> 8 at {server.url}"


async def test_a_token_that_the_tokenizer_does_not_have_shows_as_several(own):
    async with tgi() as server:
        named, _ = await doctor(own("llama3"), server.url)
    spelt = "+".join(str(100 + ord(character)) for character in "<|eot_id|>")
    assert f"<|eot_id|> {spelt}" in named["special tokens"].state


async def test_a_moved_system_text_is_warned_of(own):
    async with tgi() as server:
        _, findings = await doctor(own(FOLDER / "gemma-2"), server.url)
    (warned,) = [finding for finding in findings if finding.level == "warn" and "template" in finding.name]
    assert "its text stands in front of the first user message" in warned.state


@pytest.mark.parametrize("field", ["prompt", "content"], ids=["vllm", "llama.cpp"])
async def test_servers_of_completions_are_asked_in_their_words(own, field):
    async with completions(field) as url:
        named, _ = await doctor(own("chatml", "openai"), url)
    assert "<|im_start|> 7, <|im_end|> 8" in named["special tokens"].state


async def test_a_server_that_does_not_tokenize_shows_no_ids(own):
    async with completions() as url:
        named, findings = await doctor(own("chatml", "openai"), url)
    assert "special tokens" not in named and all(finding.good for finding in findings)


def test_special_tokens_are_found_once_and_in_order():
    used = template(str(FOLDER / "yi"))
    text = "a <unk> [INST] b [/INST] <|im_end|><unk>"
    assert used.special_tokens(text) == ["<unk>", "[INST]", "[/INST]", "<|im_end|>"]
