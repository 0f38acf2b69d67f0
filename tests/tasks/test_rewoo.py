"""ReWOO end to end: prompts, failures, the judge, stand-ins, record and replay, and preparing data."""

from __future__ import annotations

import asyncio
import csv
import importlib.util
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.data import digest, literals
from harness.errors import DataError, InfraError, MissingPart
from harness.types import Ask, Context, Message, Observation, Pending, Reply, Row, Sample, Score, Verdict
from tasks.rewoo import TASK
from tasks.rewoo.prepare import COUNTS, prepare, write_sample
from tasks.rewoo.prompts import Prompts
from tasks.rewoo.rows import DATASETS, label

_spec = importlib.util.spec_from_file_location("fakes_web", Path(__file__).with_name("fakes_web.py"))
assert _spec and _spec.loader
fakes = sys.modules.setdefault("fakes_web", importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(fakes)

FIXTURE = Path(__file__).parents[2] / "tasks/rewoo/fixture"
AT = "AgentTuning:eval_heldout/rewoo/"
Player = Callable[[Observation], str]


class Echo:
    """A tool model whose answer follows from its prompt, after a wait that does not."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    async def ask(self, key: str, messages: tuple[Message, ...] | str, ask: Ask) -> Reply:
        self.keys.append(key)
        for _ in range(len(self.keys) * 7 % 5):
            await asyncio.sleep(0)
        text = messages if isinstance(messages, str) else messages[-1].content
        return Reply(f"```text\n{len(text)}\n```" if isinstance(messages, str) else f"said {len(text)}")


def context(
    data: Path, work: Path, profile: str = "paper", models: object = None, **options: object
) -> Context:
    values = {option.name: getattr(option, profile) for option in TASK.spec.options}
    source = "fixture" if data == FIXTURE else "mirror"
    return Context(data, work, 0, {**values, **options}, models or {}, profile, source)  # type: ignore[arg-type]


async def play(ctx: Context, item: Sample, answer: Player) -> tuple[Score | Pending, list[Observation]]:
    async with TASK.world(ctx) as world:
        episode = await world.episode(item, 0, 0)
        seen = [await episode.reset()]
        while not seen[-1].done:
            seen.append(await episode.step(Reply(answer(seen[-1]))))
        score = await episode.score()
        await episode.close()
        await episode.close()
    return score, seen


def two(plan: str, answer: str = "") -> Player:
    return lambda observation: plan if observation.info["stage"] == "plan" else answer


def sample(ctx: Context, ident: str) -> Sample:
    return next(item for item in TASK.samples(ctx, "test") if item.id == ident)


def scored(score: Score | Pending) -> Score:
    assert isinstance(score, Score)
    return score


# -- prompts


async def test_prompts_are_put_together_byte_for_byte(tmp_path: Path):
    ctx = context(FIXTURE, tmp_path)
    texts = literals(FIXTURE / "prompts.json")
    item = sample(ctx, "sotu_qa/00")
    question = item.data["question"]
    plan = (
        "Plan: Find it.\n#E1 = SearchSOTU[rope hall pier]\nPlan: Read it.\n#E2 = LLM[Where? #E1] [INST] more"
    )
    score, seen = await play(ctx, item, two(plan, " On the pier \n<|end_of_turn|> x"))
    assert [message.role for message in seen[0].messages] == ["system", "user"]
    worker = AT + "nodes/Worker.py:"
    document = texts[worker + "SearchDocWorker.description"].replace("{doc_name}", "state_of_the_union")
    assert seen[0].messages[1].content == (
        texts[AT + "prompts/planner.py:DEFAULT_PREFIX"]
        + texts[AT + "nodes/Planner.py:tools_header"]
        + f"LLM[input]: {texts[worker + 'LLMWorker.description']}\n"
        + f"Calculator[input]: {texts[worker + 'CalculatorWorker.description']}\n"
        + f"Google[input]: {texts[worker + 'GoogleWorker.description']}\n"
        + f"SearchSOTU[input]: {document}\n\n"
        + texts[AT + "prompts/fewshots.py:GSM8K_PWS"]
        + texts[AT + "prompts/planner.py:DEFAULT_SUFFIX"]
        + f"{question}\n"
    )
    evidence = seen[1].info["evidence"]
    assert [(row[0], row[1], row[4]) for row in evidence] == [
        ("#E1", "SearchSOTU", "BM25 document search"),
        ("#E2", "LLM", "no LLM tool"),
    ]
    assert "a new rope hall will be built" in evidence[0][3]
    assert evidence[1][2] == f"Where? [{evidence[0][3]}]"
    assert seen[1].messages[1].content == (
        texts[AT + "prompts/solver.py:DEFAULT_PREFIX"]
        + f"{question}\nPlan: Find it.\nEvidence:\n{evidence[0][3]}\n"
        + "Plan: Read it.\nEvidence:\nNo evidence found\n"
        + texts[AT + "prompts/solver.py:DEFAULT_SUFFIX"]
        + f"{question}\n"
    )
    assert all(observation.fresh for observation in seen[:2])
    assert seen[0].ask == Ask(max_new_tokens=256, truncate=4000)
    assert scored(score).metrics["calls_SearchSOTU"] == 1.0
    assert scored(score).metrics["fallback_calls"] == 2.0


def test_mirror_has_250_rows_the_pinned_prompts_and_says_5of7(mirror: Path, tmp_path: Path):
    ctx = context(mirror / "rewoo", tmp_path)
    items = TASK.samples(ctx, "test")
    assert len({item.id for item in items}) == len(items) == 250
    assert items[0].id == "gsm8k/00"
    assert label(mirror / "rewoo") == "rewoo-5of7"
    assert label(FIXTURE) == "rewoo"
    recorded = json.loads((mirror / "rewoo/prompts.json").read_text())["sha256"]
    assert {a: digest(t) for a, t in literals(mirror / "rewoo/prompts.json").items()} == recorded
    prompts = Prompts(literals(mirror / "rewoo/prompts.json"))
    leaked = [s.id for s in items if s.data["question"].strip() in prompts.exemplar(s.data["dataset"])]
    assert leaked == ["gsm8k/02"]
    for item in items[::50]:
        asked = prompts.planner(item.data["dataset"], item.data["question"])
        assert asked.endswith(f"Each Plan should be followed by only one #E.\n\n{item.data['question']}\n")
        assert re.findall(r"^(\w+)\[input\]: ", asked, re.MULTILINE) == list(
            DATASETS[item.data["dataset"]].tools
        )


# -- the oracle and its opposite


@pytest.mark.parametrize("profile", ["paper", "fixed"])
async def test_oracle_is_right_and_silence_wrong_on_the_fixture(tmp_path: Path, profile: str):
    ctx = context(FIXTURE, tmp_path, profile)
    for item in TASK.samples(ctx, "test"):
        score, seen = await play(ctx, item, TASK.oracle(ctx, item).reply)
        assert (scored(score).value, len(seen)) == (1.0, 3)
        score, seen = await play(ctx, item, lambda observation: "")
        assert (scored(score).value, len(seen)) == (0.0, 3)


@pytest.mark.parametrize("profile", ["paper", "fixed"])
async def test_oracle_is_right_on_all_250_rows_by_rule_and_by_judge(
    mirror: Path, tmp_path: Path, profile: str
):
    ctx = context(mirror / "rewoo", tmp_path, profile, tools="keyless")
    rows: list[Row] = []
    async with TASK.world(ctx) as world:
        assert world.fingerprint["comparable"].startswith("no (")
        for item in TASK.samples(ctx, "test"):
            episode, oracle = await world.episode(item, 0, 0), TASK.oracle(ctx, item)
            observation = await episode.reset()
            while not observation.done:
                observation = await episode.step(Reply(oracle.reply(observation)))
            pending = await episode.score()
            assert isinstance(pending, Pending)
            score = TASK.resolve(ctx, pending, [Verdict("grade", 0, "CORRECT")])
            rows.append(Row(item.id, 0, score.outcome or "scored", score.value, score.metrics))
    found = TASK.aggregate(rows)
    assert len(rows) == 250
    assert (found["accuracy"], found["rule_accuracy"], found["accuracy_macro"]) == (1.0, 1.0, 1.0)
    assert (found["datasets"], found["tool_calls"], found["tool_error"]) == (5.0, 1.0, 0.0)


# -- judged


async def test_the_judge_is_asked_once_with_upstreams_template(tmp_path: Path):
    ctx = context(FIXTURE, tmp_path, grader="judge")
    item = sample(ctx, "trivia_qa/00")
    pending, _ = await play(ctx, item, two("", "It is {answer} Town"))
    assert isinstance(pending, Pending)
    (asked,) = pending.items
    assert asked.messages[0].content == (
        "Grade a quiz. Write CORRECT or INCORRECT, nothing else.\n"
        "QUESTION: What is the capital of the island of Merrow?\n"
        "STUDENT: It is {answer} Town\nTRUTH: Merrow Town\nGRADE:"
    )
    for text, paper, fixed, unread in (("CORRECT", 1, 1, 0), ("Correct.", 0, 1, 0), ("Hm", 0, 0, 1)):
        score = TASK.resolve(ctx, pending, [Verdict("grade", 0, text)])
        assert (score.value, score.metrics["fixed"], score.metrics["verdict_unread"]) == (
            paper,
            fixed,
            unread,
        )
        assert score.metrics["rule_accuracy"] == 0.0
    fixed_ctx = context(FIXTURE, tmp_path, "fixed", grader="judge")
    assert TASK.resolve(fixed_ctx, pending, [Verdict("grade", 0, "Correct.")]).value == 1.0
    with pytest.raises(InfraError):
        TASK.resolve(ctx, pending, [])


# -- failures


@pytest.mark.parametrize(
    ("plan", "failure"),
    [
        ("Plan: a", "plan_error: KeyError"),
        ("Plan: a\n#E1: LLM[x]", "plan_error: ValueError"),
        ("#", "plan_error: IndexError"),
        ("Plan: a\n#E1 = Calculator[two apples]", "tool_error: Calculator"),
        (f"Plan: a\n#E1 = Wikipedia[{'x' * 301}]", "tool_error: Wikipedia"),
        ("Plan: a\n#E1 = Calculator[x]\nPlan: b\n#E2 = Wikipedia[]", "tool_error: Calculator"),
    ],
)
async def test_a_failing_plan_or_tool_ends_the_episode_ungraded(tmp_path: Path, plan: str, failure: str):
    ctx = context(FIXTURE, tmp_path, grader="judge")
    score, seen = await play(ctx, sample(ctx, "strategy_qa/00"), two(plan, "No"))
    assert len(seen) == 2
    assert seen[1].done
    assert (scored(score).value, scored(score).outcome) == (0.0, "model_error")
    assert failure in scored(score).note
    kind = failure.split(":")[0]
    assert (
        scored(score).metrics[kind],
        scored(score).metrics["tool_error" if kind == "plan_error" else "plan_error"],
    ) == (1, 0)


async def test_mended_a_failing_tool_becomes_evidence(tmp_path: Path):
    ctx = context(FIXTURE, tmp_path, "fixed")
    plan = "Plan: a\n#E1 = calculator [two apples]\nPlan: b\n#E2 = Wikipedia[" + "Merrow " * 60 + "]\nPlan: c"
    score, seen = await play(ctx, sample(ctx, "strategy_qa/00"), two(plan, "No"))
    log = seen[1].messages[1].content
    assert "Plan: a\nEvidence:\nCalculator failed: not an arithmetic expression\n" in log
    assert "Plan: b\nEvidence:\nCould not find [Merrow Merrow" in log
    assert "Plan: c\nEvidence:\nNo evidence found\n" in log
    assert (scored(score).value, scored(score).outcome, scored(score).metrics["tool_error"]) == (
        1.0,
        None,
        1.0,
    )


async def test_a_failing_role_is_no_score(tmp_path: Path):
    class Broken:
        async def ask(self, key: str, messages: object, ask: Ask) -> Reply:
            raise InfraError("the role is down")

    ctx = context(FIXTURE, tmp_path, models={"tool_llm": Broken()})
    with pytest.raises(InfraError, match="down"):
        await play(ctx, sample(ctx, "gsm8k/00"), two("Plan: a\n#E1 = LLM[x]"))


@pytest.mark.parametrize(
    "reply", ["", "x" * 10_000_000, "\0", "\ud800", "#E1 = " * 9999, "Plan: a\n#E1 = LLM[\ud800]"]
)
@pytest.mark.parametrize("profile", ["paper", "fixed"])
async def test_hostile_replies_never_raise(tmp_path: Path, reply: str, profile: str):
    ctx = context(FIXTURE, tmp_path, profile)
    score, seen = await play(ctx, sample(ctx, "physics_question/00"), lambda observation: reply)
    assert scored(score).value == 0.0
    assert len(seen) <= 3


async def test_the_longest_evidence_is_trimmed_instead_of_the_prompts_head(tmp_path: Path):
    ctx = context(FIXTURE, tmp_path, "fixed")
    plan = f"Plan: a\n#E1 = {'long ' * 9000}\nPlan: b\n#E2 = short"
    score, seen = await play(ctx, sample(ctx, "gsm8k/00"), two(plan, "1080"))
    prompt = seen[1].messages[1].content
    assert len(prompt) <= 3 * 4000
    assert prompt.startswith("Answer the question below.")
    assert "Evidence:\nshort\n" in prompt
    assert seen[1].ask == Ask(max_new_tokens=256)
    assert scored(score).metrics["truncated"] == 1.0


async def test_score_before_any_step(tmp_path: Path):
    ctx = context(FIXTURE, tmp_path, grader="judge")
    async with TASK.world(ctx) as world:
        episode = await world.episode(sample(ctx, "gsm8k/00"), 0, 0)
        assert scored(await episode.score()).value == 0.0
        await episode.close()


# -- parallel and sequential


PLAN = """Plan: a
#E1 = Wikipedia[Merrow]
Plan: b
#E2 = LLM[capital? #E1]
Plan: c
#E3 = Calculator[6 * 7]
Plan: d
#E4 = SearchSOTU[boats]
Plan: e
#E5 = LLM[all of #E2 #E3 #E4 #E9]
Plan: f
#E6 = Google[#E5]"""


@pytest.mark.parametrize("profile", ["paper", "fixed"])
async def test_parallel_and_sequential_runs_are_equal(tmp_path: Path, profile: str):
    async def run(parallel: bool) -> list[Any]:
        ctx = context(FIXTURE, tmp_path, profile, {"tool_llm": Echo()}, parallel=parallel)
        items = TASK.samples(ctx, "test")
        together = (play(ctx, item, two(PLAN, str(item.data["answer"]))) for item in items)
        return [
            (score, [o.messages for o in seen], seen[1].info)
            for score, seen in await asyncio.gather(*together)
        ]

    assert await run(parallel=True) == await run(parallel=False)


async def test_role_keys_are_unique_in_a_run(tmp_path: Path):
    echo = Echo()
    ctx = context(FIXTURE, tmp_path, models={"tool_llm": echo})
    for item in TASK.samples(ctx, "test"):
        await play(ctx, item, two("Plan: a\n#E1 = LLM[x]\nPlan: b\n#E2 = LLM[x]"))
    assert len(set(echo.keys)) == len(echo.keys) == 28
    assert echo.keys[0].startswith("hotpot_qa/00/0/#E")


# -- roles, keys, record and replay


async def test_what_is_missing_is_named_with_its_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SERPER_API_KEY", raising=False)
    monkeypatch.delenv("WOLFRAM_ALPHA_APPID", raising=False)
    monkeypatch.delenv("HARNESS_CONTACT", raising=False)
    with pytest.raises(MissingPart) as caught:
        async with TASK.world(context(FIXTURE, tmp_path, tools="live")):
            pass
    for words in (
        "--role tool_llm",
        "SERPER_API_KEY",
        "rewoo.google=unavailable",
        "WOLFRAM",
        "tools=keyless",
    ):
        assert words in str(caught.value)


async def test_record_everything_once_and_replay_it_with_no_role_key_or_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SERPER_API_KEY", "serper-key")
    monkeypatch.setenv("WOLFRAM_ALPHA_APPID", "wolfram-key")
    wiki = fakes.FakeWiki(pages={"Merrow": "Merrow is an island."})
    search = fakes.FakeSearch(
        google={"boats": {"answerBox": {"answer": "eleven"}}}, wolfram={"2x=4": "x = 2"}
    )
    plan = (
        "Plan: a\n#E1 = Wikipedia[Merrow]\nPlan: b\n#E2 = Google[boats]\nPlan: c\n#E3 = WolframAlpha[2x=4]\n"
        "Plan: d\n#E4 = LLM[#E1 #E2]\nPlan: e\n#E5 = Calculator[#E3]"
    )
    echo = Echo()
    async with fakes.serve_wiki(wiki), fakes.serve_search(search) as (serper, alpha):
        shared: dict[str, Any] = {
            "snapshot": str(tmp_path / "all.sqlite"),
            "web_rate": 9999.0,
            "wiki_endpoint": wiki.url,
            "google_endpoint": serper,
            "wolfram_endpoint": alpha,
        }
        recording = context(
            FIXTURE, tmp_path, tools="record", contact="t@example.org", models={"tool_llm": echo}, **shared
        )
        item = sample(recording, "strategy_qa/00")
        first, seen = await play(recording, item, two(plan, "No"))
    assert [row[3] for row in seen[1].info["evidence"]][:3] == ["Merrow is an island.", "eleven", "x = 2"]
    counts = len(wiki.seen), len(search.seen), len(echo.keys)
    assert counts == (3, 2, 2)
    monkeypatch.delenv("SERPER_API_KEY")
    monkeypatch.delenv("WOLFRAM_ALPHA_APPID")
    replaying = context(FIXTURE, tmp_path, tools="replay", **shared)
    again, replayed = await play(replaying, item, two(plan, "No"))
    assert [o.messages for o in replayed] == [o.messages for o in seen]
    assert {row[4] for row in replayed[1].info["evidence"]} == {"replay"}
    assert scored(again).value == scored(first).value == 1.0
    assert scored(again).metrics["snapshot_miss"] == 0.0
    assert "wiki replay (7 answers, sha256 " in scored(again).note
    missed, _ = await play(
        replaying, item, two("Plan: a\n#E1 = LLM[new]\nPlan: b\n#E2 = Wikipedia[new]", "No")
    )
    assert scored(missed).metrics["snapshot_miss"] == 1.0
    assert "env_incomplete: 2 inputs" in scored(missed).note


# -- aggregate


def test_headline_is_micro_accuracy():
    rows = [
        Row(f"gsm8k/{n:02d}", 0, "scored", float(n == 0), {"exemplar_leak": float(n == 0)}) for n in range(3)
    ]
    rows.append(Row("sotu_qa/00", 0, "scored", 1.0, {"exemplar_leak": 0.0}))
    found = TASK.aggregate(rows)
    assert found["accuracy"] == 0.5
    assert found["accuracy_macro"] == pytest.approx((1 / 3 + 1) / 2)
    assert found["accuracy_without_leak"] == pytest.approx(1 / 3)
    assert TASK.aggregate([]) == {}


# -- data


def test_prepare_draws_upstreams_rows_byte_for_byte(mirror: Path, tmp_path: Path):
    """From the real tables and the real GSM8K; the prompts from sources of upstream's shape."""
    source, data = tmp_path / "from", mirror / "rewoo"
    (source / "grade-school-math").mkdir(parents=True)
    (source / "ReWOO").symlink_to(data)
    (source / "grade-school-math/grade_school_math").symlink_to(mirror / "gsm8k/grade_school_math")
    write_sources(source, literals(data / "prompts.json"))
    written = {path.relative_to(tmp_path / "to").as_posix() for path in prepare(source, tmp_path / "to")}
    assert written == {
        "data/docs/state_of_the_union.txt",
        "prompts.json",
        *(
            f"samples/{n}.jsonl"
            for n in ("gsm8k", "sotu_qa", "physics_question", "sports_understanding", "strategy_qa")
        ),
    }
    for name in written:
        assert (tmp_path / "to" / name).read_bytes() == (data / name).read_bytes(), name


def write_sources(source: Path, texts: Any) -> None:
    """Lay out sources as upstream's, with the literals in the places they are read from."""
    lines: dict[str, list[str]] = {}
    for address, text in texts.items():
        root, path, name = address.split(":")
        path = f"AgentTuning/{path}" if root == "AgentTuning" else f"langchain/{path}"
        body = lines.setdefault(path, [])
        if name == "tools_header":
            body.append(f"class Planner:\n def _generate_worker_prompt(self):\n  prompt = {text!r}\n")
        elif name == "LLMWorker.template":
            body.append(f" def run(self, x, model={{'a', 'b'}}):\n  return x(t={text!r}, n=['request'])\n")
        elif name == "SearchDocWorker.description":
            parts = " \\\n    ".join("f" + repr(piece) for piece in re.split(r"(?<=\. )", text))
            head = "class SearchDocWorker:\n def __init__(self, doc_name, name='S'):\n"
            body.append(f"{head}  self.description = {parts}\n")
        elif "." in name:
            owner, attribute = name.split(".")
            body.append(f"class {owner}:\n def __init__(self):\n  self.{attribute} = {text!r}\n")
        else:
            body.append(f"{name} = {text!r}\n")
    for path, body in lines.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text("".join(body))


def test_prepare_checks_counts_and_draws_the_listed_rows(mirror: Path, tmp_path: Path):
    listed = json.loads((mirror / "rewoo/samples/indices.json").read_text())["indices"]
    for name in ("hotpot_qa", "trivia_qa"):
        rows: Sequence[dict[str, str]] = [{"question": str(n)} for n in range(COUNTS[name])]
        path = write_sample(tmp_path, name, rows)
        assert [json.loads(line)["source_index"] for line in path.read_text().splitlines()] == listed[name]
        with pytest.raises(DataError, match=str(COUNTS[name])):
            write_sample(tmp_path, name, rows[:-1])
    assert label(tmp_path) == "rewoo-2of7"


def test_prepare_reads_a_users_hotpot_and_trivia_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import pandas as pd

    monkeypatch.setitem(COUNTS, "hotpot_qa", 60)
    monkeypatch.setitem(COUNTS, "trivia_qa", 60)
    hotpot = [{"question": f"q{n}", "answer": f"a{n}", "context": []} for n in range(60)]
    (tmp_path / "hotpot_train_v1.1.json").write_text(json.dumps(hotpot))
    (tmp_path / "trivia_qa").mkdir()
    trivia = [{"question": f"q{n}", "answer": {"value": f"a{n}", "aliases": [f"A{n}"]}} for n in range(60)]
    for part in range(2):
        pd.DataFrame(trivia[part * 30 :][:30]).to_parquet(tmp_path / f"trivia_qa/train-{part}.parquet")
    first, second = prepare(tmp_path, tmp_path / "to")
    row = json.loads(first.read_text().splitlines()[7])
    assert row["question"] == f"q{row['source_index']}"
    row = json.loads(second.read_text().splitlines()[7])
    index = row["source_index"]
    assert row == {
        "uid": "rewoo/trivia_qa/07",
        "source_index": index,
        "question": f"q{index}",
        "answer": f"a{index}",
        "aliases": [f"A{index}"],
    }


def test_prepare_says_what_it_needs(tmp_path: Path):
    with pytest.raises(DataError, match="ReWOO"):
        prepare(tmp_path, tmp_path / "to")


def test_tables_are_the_ones_the_counts_speak_of(mirror: Path):
    for name in ("physics_question", "sports_understanding", "strategy_qa"):
        with (mirror / f"rewoo/data/bigbench/{name}.csv").open(newline="", encoding="utf-8") as lines:
            assert sum(1 for _ in csv.DictReader(lines)) == COUNTS[name]
