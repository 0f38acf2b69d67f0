"""The batch of a local model: each answer as if it were alone, however others join and leave."""

from __future__ import annotations

import asyncio
import gc
import random
import socket
import threading
from collections import Counter

import pytest
from local_server import WAIT_S, Local, asked, ids, local, prompts
from tiny_model import needed, write_tiny

from harness.models.local.request import Parameters, Prompt
from harness.models.local.sampler import Sampler
from harness.models.local.sequence import Done, Sequence

COUNT = 200


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("tiny"), positions=4096)


@pytest.fixture(scope="module")
def alone(tiny):
    """Prompts with how many tokens each may have, and what `model.generate` writes for each by itself."""
    torch, transformers = needed("torch"), needed("transformers")
    torch.set_num_threads(1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny)
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny).eval()
    draw, found = random.Random(5), []
    for text in prompts(COUNT, 1):
        inputs, room = tokenizer(text, return_tensors="pt"), draw.randint(1, 24)
        written = model.generate(
            inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            max_new_tokens=room,
            do_sample=False,
            pad_token_id=2,
        )
        found.append((text, room, written[0, inputs["input_ids"].shape[1] :].tolist()))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 8, 32])
async def test_answers_are_those_of_generate_alone(tiny, alone, batch):
    flying, most = Counter[str](), 0
    async with local(tiny, batch=batch, concurrent=COUNT) as server:

        async def one(text: str, room: int, expected: list[int]) -> bool:
            nonlocal most
            body = await server.generate(text, max_new_tokens=room)
            most = max(most, server.service.engine.running)
            flying["done"] += 1
            return ids(body) == expected

        same = await asyncio.gather(*(one(*case) for case in alone))
        assert sum(same) == COUNT
        assert most <= batch and (batch == 1 or most > batch // 2), most
        assert server.service.engine.running == server.service.engine.waiting == 0


async def test_a_long_prompt_does_not_stop_the_others(tiny, monkeypatch):
    async with local(tiny, batch=8) as server:
        engine, waited, both = server.service.engine, [], threading.Event()
        submit, forward = engine.submit, server.service.loaded.model.forward

        def noted(sequence) -> None:
            began, told = engine.counts.steps, sequence.tell

            def tell(event) -> None:
                waited.append((len(sequence.prompt.ids), engine.counts.steps - began))
                told(event)

            sequence.tell = tell
            submit(sequence)
            if len(sequence.prompt.ids) < 10:
                both.set()

        def held(*args, **named):
            assert both.wait(WAIT_S), "the long prompt is not read on before the short request is there"
            return forward(*args, **named)

        monkeypatch.setattr(engine, "submit", noted)
        monkeypatch.setattr(server.service.loaded.model, "forward", held)
        long = asyncio.create_task(server.generate("apples " * 3000, max_new_tokens=1))
        await server.until(lambda: engine.running == 1)
        await server.generate("two apples", max_new_tokens=1)
        await long
        (short, steps), (longer, all_steps) = waited
        assert short < 10 and steps <= 3, "the first token of a short request waits for no long prompt"
        assert longer > 3000 and all_steps >= longer // 256


async def test_cancelled_streams_leave_before_the_next_step(tiny):
    async with local(tiny, batch=32) as server:
        engine = server.service.engine
        streams = [await opened(server) for _ in range(32)]
        await server.until(lambda: engine.running == 32)
        for answer in streams[:20]:
            answer.close()
        await server.until(lambda: server.service.busy == 12)
        steps = engine.counts.steps
        await server.until(lambda: engine.running <= 12 or engine.counts.steps > steps + 1)
        assert engine.running <= 12
        assert engine.counts.cancelled == 20
        for answer in streams[20:]:
            answer.close()


async def opened(server: Local):
    body = asked("apples", {"max_new_tokens": 4000})  # greedily it never ends
    return await server.session.post(server.url + "/generate_stream", json=body)


async def test_a_request_may_come_while_the_waiting_ones_are_looked_through(tiny):
    async with local(tiny, batch=1) as server:
        engine, loaded = server.service.engine, server.service.loaded
        stream = await opened(server)
        await server.until(lambda: engine.running == 1)
        told, submitted = [], threading.Event()

        def sequence(kind=Sequence):
            sent = Parameters(max_new_tokens=1)
            sampler = Sampler(loaded.torch, sent, seed=0, grammar=None, ends=())
            return kind(Prompt((5, 6), 1), sent, sampler, loaded.vocabulary, (), told.append)

        def another() -> None:
            engine.submit(sequence())
            submitted.set()

        class Looked(Sequence):
            """Sends another request when the engine looks at it, and gives that one time to come."""

            sends = True

            @property
            def cancelled(self) -> bool:
                if self.sends:
                    self.sends = False
                    threading.Thread(target=another).start()
                    submitted.wait(0.5)
                return False

            @cancelled.setter
            def cancelled(self, value: bool) -> None:
                del value

        engine.submit(sequence(Looked))
        await server.until(lambda: submitted.is_set() or not engine.alive)
        stream.close()
        await server.until(lambda: len(told) == 2 or not engine.alive)
        assert [type(event) for event in told] == [Done, Done]


def test_nothing_stays_after_close(tiny):
    torch = needed("torch")

    def tensors() -> int:
        gc.collect()
        return sum(1 for one in gc.get_objects() if type(one) in (torch.Tensor, torch.nn.Parameter))

    async def served() -> str:
        async with local(tiny) as server:
            await server.generate("apples", max_new_tokens=3)
            return server.url

    threads, before = {one.name for one in threading.enumerate()}, tensors()
    host, port = asyncio.run(served()).removeprefix("http://").split(":")
    left = {one.name for one in threading.enumerate()} - threads
    assert not [name for name in left if name.startswith(("local-model", "tokenizer"))]
    assert tensors() <= before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)


async def test_nan_fails_its_own_request_only(tiny):
    torch = needed("torch")
    async with local(tiny, batch=4) as server:
        good = await server.generate("two apples", max_new_tokens=6)
        poisoned = server.service.loaded.vocabulary.encode("pear")[-1]
        with torch.no_grad():
            server.service.loaded.model.get_input_embeddings().weight[poisoned] = float("nan")
        bad, again = await asyncio.gather(
            server.post("/generate", "pear", max_new_tokens=6),
            server.post("/generate", "two apples", details=True, max_new_tokens=6),
        )
        assert bad[0] == 424 and bad[1]["error_type"] == "generation" and "NaN" in bad[1]["error"]
        assert again[0] == 200 and ids(again[1]) == ids(good)
        last = await server.generate("two apples", max_new_tokens=6)
        assert ids(last) == ids(good), "in the row that held NaN"


async def test_out_of_memory_makes_the_batch_smaller_and_goes_on(tiny, monkeypatch):
    torch = needed("torch")
    async with local(tiny, batch=8) as server:
        engine, whole = server.service.engine, server.service.loaded.model.forward

        def short(*args, **named):
            if named["input_ids"].shape[0] > 3:
                raise torch.OutOfMemoryError("tried to allocate 20 GiB")
            return whole(*args, **named)

        monkeypatch.setattr(server.service.loaded.model, "forward", short)
        asks = [server.post("/generate", "apples", max_new_tokens=40) for _ in range(8)]
        answers = await asyncio.gather(*asks)
        told = Counter(status for status, _ in answers)
        assert set(told) == {200, 424}
        assert all("out of memory" in body["error"] for status, body in answers if status == 424)
        assert engine.budget.rows <= 4
        for _ in range(3):  # what was refused succeeds when it is sent again
            answers = await asyncio.gather(
                *(server.post("/generate", "pear", max_new_tokens=9) for _ in "abc")
            )
        assert {status for status, _ in answers} == {200}


async def test_a_request_beyond_all_memory_is_refused_and_others_wait_their_turn(tiny):
    async with local(tiny, batch=4) as server:
        server.service.engine.budget.tokens = 256
        status, body = await server.post("/generate", "apples", max_new_tokens=400)
        assert status == 424 and "there is room for 256" in body["error"]
        asks = [server.post("/generate", "apples", max_new_tokens=100) for _ in range(5)]
        assert [status for status, _ in await asyncio.gather(*asks)] == [200] * 5
