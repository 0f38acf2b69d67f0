"""What a command asks of a model instead of what its tasks ask, and what that means for the numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from own_server import CHAT, COMPLETIONS, TGI, OwnServer, running
from typed import typed

from harness.errors import UsageError
from harness.running import plan as planning
from harness.running.request import ModelChoice, RunRequest, Workload
from harness.running.sampling import Sampling
from harness.types import Ask

RUN = ("run", "--task", "gsm8k", "--mirror", "fixture", "--limit", "2", "--model", "mine")
ALL = (
    "--temperature", "0.7", "--top-p", "0.9", "--max-new-tokens", "600", "--stop", "Q:", "--stop", "##",
    "--system", "Be brief.", "--extra", "top_k=40", "--extra", 'template_kwargs={"thinking": false}',
    "--extra", "mode=plain",
)  # fmt: skip
EXTRA = {"top_k": 40, "template_kwargs": {"thinking": False}, "mode": "plain"}

Said = Callable[..., tuple[int, str]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Runs a command in this process; its exit code and everything it said."""
    monkeypatch.chdir(tmp_path)
    for name in ("HARNESS_MODELS", "HARNESS_MIRROR", "HARNESS_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return partial(typed, capsys)


def parameters(asked: dict[str, Any]) -> dict[str, Any]:
    """What a request says of sampling, under OpenAI's names."""
    if "parameters" not in asked:
        return asked
    sent = asked["parameters"]
    return {**sent, "max_tokens": sent["max_new_tokens"]}


@pytest.mark.parametrize("path", [TGI, COMPLETIONS, CHAT])
def test_every_override_reaches_the_server(call: Said, path: str):
    server = OwnServer((path,))
    template = () if path == CHAT else ("--template", "llama2-chat")
    with running(server) as (url,):
        status, said = call(*RUN, "--endpoint", url, *template, *ALL)
        assert status == 0, said
        assert call(*RUN, "--endpoint", url, *template)[0] == 0
    asked, plain = server.played[0].data, server.played[-1].data
    sent = parameters(asked)
    assert (sent["temperature"], sent["top_p"], sent["max_tokens"]) == (0.7, 0.9, 600)
    assert sent["stop"][-2:] == ["Q:", "##"] and {key: sent[key] for key in EXTRA} == EXTRA
    assert len({parameters(one.data)["seed"] for one in server.played[:2]}) == 2
    shown = json.dumps(asked)
    assert "Be brief." in shown and "Be brief." not in json.dumps(plain)
    assert not EXTRA.keys() & parameters(plain).keys()


def test_the_report_says_what_was_asked_and_compares_nothing_with_the_paper(call: Said):
    server = OwnServer((CHAT,))
    with running(server) as (url,):
        line = (*RUN, "--endpoint", url)
        assert call(*line, "--max-new-tokens", "600", "--system", "Be brief.", "--out", "other")[0] == 0
        assert call(*line, "--out", "plain")[0] == 0
        status, said = call(*line, "--out", "other")
        assert (status, "sampling" in said) == (2, True), "another configuration: not the same run"
    status, said = call("report", "other", "--normalize", "gpt4")
    assert 'asked: --max-new-tokens 600, --system "Be brief.": not comparable with the paper' in said
    assert 'asked with --max-new-tokens 600, --system "Be brief."' in said and "not comparable" in said
    status, plain = call("report", "plain", "--normalize", "gpt4")
    assert "asked" not in plain
    status, compared = call("report", "other", "--normalize", "model:plain")
    assert "not comparable with the reference (asked with" in compared, compared


def test_repeats_of_one_draw_are_said(call: Said, caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO")
    server = OwnServer((CHAT,))
    with running(server) as (url,):
        line = (*RUN, "--endpoint", url, "--repeats", "2")
        _, said = call(*line)
        assert "repeats the same draw" in caplog.text
        assert "greedy decoding: its repeats are the same draw" in said
        caplog.clear()
        _, said = call(*line, "--temperature", "1")
        assert "same draw" not in caplog.text + said


def test_a_run_without_overrides_keeps_its_name():
    def config(**sampling: Any) -> dict[str, Any]:
        models = ModelChoice(model="agentlm-7b", sampling=Sampling(**sampling))
        return planning.make(RunRequest(Workload(tasks=("gsm8k",), mirror="fixture"), models)).config()

    known = "model profile decoding repeats seed split shard roles judge suites tasks"
    assert config().keys() == set(known.split())
    assert config(temperature=0.0)["sampling"] == {"temperature": 0.0}
    assert config(system="")["sampling"] == {"system": ""}
    assert config(stop=("a", "b"), extra={"k": 1})["sampling"] == {"stop": ["a", "b"], "extra": {"k": 1}}


@pytest.mark.parametrize(
    ("sampling", "ask", "sent"),
    [
        (Sampling(temperature=0.5), Ask(9, temperature=1.0, top_p=0.9), Ask(9, temperature=0.5, top_p=0.9)),
        (Sampling(temperature=0), Ask(9, temperature=1.0, top_p=0.9), Ask(9)),
        (Sampling(top_p=0.5), Ask(9), Ask(9, top_p=0.5)),
        (Sampling(stop=("b", "a")), Ask(9, stop=("a",)), Ask(9, stop=("a", "b"))),
        (Sampling(max_new_tokens=600), Ask(100, truncate=3996), Ask(600, truncate=3496)),
        (Sampling(max_new_tokens=12), Ask(256, truncate=4000), Ask(12, truncate=4000)),
        (Sampling(max_new_tokens=9999), Ask(100, truncate=3996), Ask(9999, truncate=1)),
        (Sampling(temperature=1, max_new_tokens=5), Ask(1, choices=("A",)), Ask(1, choices=("A",))),
    ],
)
def test_what_is_asked_instead(sampling: Sampling, ask: Ask, sent: Ask):
    assert sampling.over(ask) == sent


def test_released_parameters_are_not_mixed_with_others():
    for given in ({"temperature": 1.0}, {"top_p": 0.5}, {"max_new_tokens": 9}):
        with pytest.raises(UsageError, match="--decoding released"):
            Sampling(**given).check("m", "released")
    Sampling(system="x", stop=("y",)).check("m", "released")
