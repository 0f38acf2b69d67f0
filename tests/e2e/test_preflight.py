"""What cannot work is refused before anything of a benchmark is sent, and `doctor` and `run` agree on it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web
from loopback_server import serving_from_a_thread
from preflight_servers import (
    CHAT,
    COMPLETIONS,
    INFO,
    TGI,
    Case,
    Server,
    started,
    tgi,
)
from typed import typed

CASES = {
    "tgi": Case((tgi(),), status=0),
    "chat only": Case((lambda: Server((CHAT,)),), fix="--model agentlm-7b@chat"),
    "completions only": Case((lambda: Server((COMPLETIONS,)),), fix="--model agentlm-7b@openai"),
    "tgi asked as chat": Case((tgi(),), "agentlm-7b@chat", fix="--model agentlm-7b"),
    "wrong url": Case((lambda: Server(),), fix="check the address: it is the server's base URL"),
    "wrong key": Case(
        (lambda: Server(always=(401, "application/json", '{"error": "invalid key"}')),),
        "locked",
        fix="export A_TEST_KEY=... with the right key",
    ),
    "no key": Case((lambda: Server(always=(401, "application/json", "{}")),), fix='api_key_env = "..."'),
    "wrong model": Case(
        (lambda: Server((CHAT, COMPLETIONS), models=("theirs",)),), "ours@chat", fix="--model theirs@chat"
    ),
    "dead": Case((), fix="--endpoint http://host:port"),
    "html": Case(
        (lambda: Server(always=(200, "text/html", "<!doctype html><p>Log in")),),
        fix="give the address of the server itself",
    ),
    "html error": Case(
        (lambda: Server(always=(404, "text/html", "<html>no such page")),), fix="check the address"
    ),
    "two shas": Case((tgi(), tgi("other")), fix="give only"),
    "no choices": Case((lambda: Server((CHAT,)),), "m@chat", fix="--set mmlu.answer=generate", task="mmlu"),
}


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs a command; its exit code and everything it said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("A_TEST_KEY", "s3cret-and-wrong")
    (tmp_path / "models.toml").write_text(
        '[locked]\nkind = "tgi"\ntemplate = "agentlm"\napi_key_env = "A_TEST_KEY"\n'
    )
    monkeypatch.setenv("HARNESS_MODELS", str(tmp_path / "models.toml"))

    return partial(typed, capsys)


Said = Callable[..., tuple[int, str]]


@pytest.mark.parametrize("name", CASES)
def test_doctor_and_run_agree_before_anything_is_sent(call: Said, name: str, tmp_path: Path):
    case = CASES[name]
    with started(case) as (servers, urls):
        model = ["--model", case.model, *(word for url in urls for word in ("--endpoint", url))]
        model += ["--mirror", "fixture"]
        doctor, found = call("doctor", case.task, *model)
        run, said = call("run", "--task", case.task, "--limit", "1", "--no-report", *model)
    assert (doctor, run) == (case.status, case.status), found + said
    assert "Traceback" not in found + said and "s3cret" not in found + said
    assert case.fix in found and case.fix in said
    sent = set[str]().union(*(server.asked for server in servers))
    if case.status:
        assert sent <= {"doctor"}
        assert sum(case.fix in line for line in said.splitlines()) == 1, "one line with the fix"
        assert not (tmp_path / "results").exists(), "nothing was begun"
    else:
        assert case.task in sent


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--model", "oracle", "--endpoint", "http://127.0.0.1:9"), "leave out --endpoint"),
        (("--model", "oracle", "--judge", "self"), "a model does not judge itself; give NAME@URL"),
        (("--model", "oracle", "--judge", "m@http://127.0.0.1:9"), "no answer of gsm8k waits for a judge"),
        (("--model", "oracle", "--role", "juge=m@http://127.0.0.1:9"), "did you mean judge"),
        (
            ("--model", "oracle", "--role", "tool_llm=m@http://127.0.0.1:9"),
            "role tool_llm: m@chat: no endpoint",
        ),
        (("--model", "oracle", "--retry", "infra"), "leave out --retry"),
    ],
)
def test_contradictory_words_are_refused_with_their_fix(call: Said, words: tuple[str, ...], message: str):
    status, said = call("run", "--task", "gsm8k", "--mirror", "fixture", *words)
    assert (status, message in said) == (2, True), said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "--task", "gsm8kk"), "did you mean gsm8k?"),
        (("run", "--suite", "demoo"), "did you mean demo?"),
        (("run", "--task", "mmlu", "--set", "mmlu.answer=sing"), "choose one of"),
        (
            ("run", "--task", "gsm8k", "--judge", "m@http://127.0.0.1:9"),
            "no answer of gsm8k waits for a judge",
        ),
        (("doctor", "gsm8kk"), "did you mean gsm8k?"),
        (("doctor", "mmlu", "--set", "mmlu.anser=rank"), "did you mean answer?"),
        (("prompt", "gsm8k", "--split", "train"), "choose one of test"),
    ],
)
def test_bad_words_are_told_before_a_server_is_asked(call: Said, words: tuple[str, ...], message: str):
    with started(CASES["chat only"]) as ((server,), (url,)):
        status, said = call(*words, "--mirror", "fixture", "--endpoint", url)
    assert (status, message in said, server.requests) == (2, True, 0), said


def test_a_parameter_that_the_server_refuses_ends_the_command_before_the_run(call: Said, tmp_path: Path):
    words = ("run", "--task", "gsm8k", "--mirror", "fixture", "--limit", "1", "--no-report")
    case = Case((lambda: Server((TGI,), INFO, refuses="top_kk"),))
    with started(case) as ((server,), (url,)):
        words = (*words, "--model", "agentlm-7b", "--endpoint", url)
        status, said = call(*words, "--extra", "top_kk=4", "--extra", "typical_p=0.5")
        assert status == 2 and server.asked <= {"doctor"}, said
        assert "does not answer with --extra top_kk=4 --extra typical_p=0.5" in said
        assert "unknown top_kk" in said and not (tmp_path / "results").exists()
        assert call(*words, "--extra", "typical_p=0.5")[0] == 0


def test_a_begun_run_is_checked_before_it_goes_on(call: Said, tmp_path: Path):
    words = (
        "run",
        "--task",
        "gsm8k",
        "--mirror",
        "fixture",
        "--no-report",
        "--out",
        "r",
        "--model",
        "agentlm-7b",
    )
    with started(CASES["tgi"]) as (_, (url,)):
        (tmp_path / "r").mkdir()
        assert (call(*words, "--endpoint", url, "--limit", "2"))[0] == 0
        assert (call(*words, "--endpoint", url, "--limit", "2"))[0] == 0, "complete: needs no endpoint"


JUDGES: dict[str, tuple[Callable[[], Server], str, str]] = {
    "no chat": (lambda: Server((COMPLETIONS,)), "m", "check the address: it is the server's base URL"),
    "another protocol": (tgi(), "agentlm-7b@chat", "--judge agentlm-7b@tgi@http://"),
    "another name": (lambda: Server((CHAT,), models=("theirs",)), "ours", "--judge theirs@chat@http://"),
    "no key": (
        lambda: Server(always=(401, "application/json", "{}")),
        "m",
        "export HARNESS_JUDGE_API_KEY=... with the right key",
    ),
}


@pytest.mark.parametrize("name", JUDGES)
def test_a_judge_is_tried_before_it_is_asked_and_the_run_stays_as_it_is(
    call: Said, name: str, tmp_path: Path
):
    make, judge, fix = JUDGES[name]
    words = ("--task", "mt_bench", "--mirror", "fixture", "--limit", "2", "--no-report", "--out", "r")
    assert call("run", "--model", "oracle", *words)[0] in (0, 3)
    before = {path.name: path.read_bytes() for path in (tmp_path / "r").iterdir()}
    server = make()
    with serving_from_a_thread(server.answer) as (url,):
        status, said = call("judge", "r", "--judge", f"{judge}@{url}")
    assert status == 2 and "cannot judge, nothing was sent to the judge:" in said and fix in said, said
    assert server.asked <= {"doctor"} and len(said.splitlines()) == 2, said
    assert "wants an API key" in said or name != "no key"
    assert {path.name: path.read_bytes() for path in (tmp_path / "r").iterdir()} == before


def test_a_judge_that_fails_at_the_end_of_a_run_leaves_its_answers_waiting(
    call: Said, caplog, tmp_path: Path
):
    model, judge = (Server((CHAT,)) for _ in range(2))

    async def once(request: web.Request) -> web.StreamResponse:
        said = await judge.answer(request)
        if request.method == "POST":
            judge.paths = ()
        return said

    words = (
        "--task",
        "mt_bench",
        "--mirror",
        "fixture",
        "--limit",
        "2",
        "--decoding",
        "greedy",
        "--out",
        "r",
    )
    with serving_from_a_thread(model.answer, once) as (url, judging):
        words = ("run", "--model", "m@chat", "--endpoint", url, "--judge", f"m@{judging}", *words)
        status, said = call(*words)
    assert (status, "mt_bench" in said) == (3, True), said
    assert "cannot judge, nothing was sent to the judge:" in caplog.text
    assert "answers of mt_bench wait for a judge: harness judge r --judge NAME@URL" in caplog.text


TEMPLATES = {
    "eos": ("{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}", "'eos_token' is undefined"),
    "syntax": ("{% for m in messages %}", "cannot render a conversation"),
    "refusing": ("{{ raise_exception('no users here') }}", "no users here"),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_that_cannot_render_is_refused(call: Said, name: str, tmp_path: Path):
    text, message = TEMPLATES[name]
    (tmp_path / "own.jinja").write_text(text)
    with (tmp_path / "models.toml").open("a") as models:
        models.write(f'[mine]\ntemplate = "{tmp_path}/own.jinja"\n')
    with started(CASES["tgi"]) as (servers, (url,)):
        model = ("--model", "mine", "--endpoint", url, "--mirror", "fixture")
        for words in (("doctor",), ("run", "--task", "gsm8k")):
            status, said = call(*words, *model)
            assert (status, message in said) == (2, True), said
            assert "whose files define its tokens" in said and "Traceback" not in said
    assert not servers[0].asked


def test_mmlu_is_refused_where_the_template_opens_a_thought(call: Said, tmp_path: Path):
    (tmp_path / "own.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}<think>")
    with started(CASES["tgi"]) as (servers, (url,)):
        model = ("--model", "m", "--template", "own.jinja", "--endpoint", url, "--mirror", "fixture")
        for words in (("doctor", "mmlu"), ("run", "--task", "mmlu", "--no-report")):
            status, said = call(*words, *model)
            assert (status, "opens a thought (<think>)" in said) == (2, True), said
            assert "--set mmlu.answer=generate" in said and "Traceback" not in said
        status, said = call("run", "--task", "gsm8k", "--limit", "1", "--no-report", *model)
        assert status == 0, said
    assert servers[0].asked == {"doctor", "gsm8k"}
