"""The Knowledge Graph's files: what `prepare` makes of a checkout, and data that is none."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from pathlib import Path

import pytest
from kg_play import FIXTURE, kg_context

from harness.data import literals, quiet
from harness.errors import DataError
from harness.running import plan
from harness.running.request import ModelChoice, RunRequest, Workload
from harness.types import Context
from tasks.knowledgegraph.prepare import FILES, prepare
from tasks.knowledgegraph.prompts import ADDRESSES, KgPrompts
from tasks.knowledgegraph.rows import ONTOLOGY, QUESTIONS, known_edges, samples, vocabulary


def checkout(data: Path, target: Path) -> None:
    """A checkout whose scripts have the data's literals at their addresses, with the data's own files."""
    scripts: dict[str, dict[str, str]] = defaultdict(dict)
    for address, value in literals(data / "prompts.json").items():
        _, path, name = address.split(":")
        scripts[path][name] = value
    for path, texts in scripts.items():
        lines = [f"{name} = {value!r}" for name, value in texts.items() if "#" not in name]
        functions: dict[str, dict[int, str]] = defaultdict(dict)
        for name in texts:
            function, numbered, number = name.partition("#")
            if numbered:
                functions[function.rpartition(".")[2]][int(number)] = texts[name]
        for function, found in functions.items():
            strings = [found.get(number, "-") for number in range(max(found) + 1)]
            lines.append(f"def {function}():\n    return {strings!r}")
        body = "\n".join(lines).replace("def predict_single", "class KnowledgeGraph:\n  def predict_single")
        body = body.replace("\n    return", "\n     return")
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_text(f"{body}\nraise SystemExit\n", encoding="utf-8")
    for path in FILES:
        there = target / path.relative_to(path.parts[0])
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(data / path, there)


def test_prepare_makes_the_mirrors_files(mirror: Path, tmp_path: Path):
    data = mirror / "knowledgegraph"
    checkout(data, tmp_path / "AgentTuning")
    written = prepare(tmp_path / "AgentTuning", tmp_path / "made", quiet)
    assert len(written) == 5
    for path in written:
        assert path.read_bytes() == (data / path.relative_to(tmp_path / "made")).read_bytes()


def test_prepare_names_what_a_checkout_lacks(tmp_path: Path):
    with pytest.raises(DataError, match="top folder of an AgentTuning checkout"):
        prepare(tmp_path, tmp_path / "made", quiet)
    checkout(FIXTURE, tmp_path / "AgentTuning")
    (tmp_path / "AgentTuning" / FILES[-1].relative_to(FILES[-1].parts[0])).unlink()
    with pytest.raises(DataError, match="fb_roles is missing"):
        prepare(tmp_path / "AgentTuning", tmp_path / "made", quiet)


@pytest.fixture
def copied(tmp_path: Path) -> Context:
    """A context on a copy of the fixture that may be spoiled."""
    shutil.copytree(FIXTURE, tmp_path / "data")
    return kg_context(tmp_path / "data")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("{}", "no list of questions"),
        ("[{}]", "std/0 is no question.*actions"),
        ("[1]", "std/0 is no question"),
        ('[{"actions": ["count(#0"], "answer": [], "entities": {}}]', "std/0 is no question"),
        ('[{"actions": [], "answer": [], "entities": {}, "question": "", "source": ""}]', "std/0 is no"),
    ],
)
def test_questions_that_are_none_are_named(copied: Context, text: str, words: str):
    (copied.data / QUESTIONS / "std.json").write_text(text)
    with pytest.raises(DataError, match=words):
        samples(copied.data, "std")


def test_a_vocabulary_that_is_none_is_named(copied: Context):
    (copied.data / ONTOLOGY / "vocab.json").write_text('{"relations": 5}')
    with pytest.raises(DataError, match=r"vocab\.json"):
        vocabulary(copied.data, "vocab")
    (copied.data / ONTOLOGY / "fb_roles").unlink()
    with pytest.raises(DataError, match="fb_roles cannot be read"):
        vocabulary(copied.data, "roles")


def test_prompts_that_are_incomplete_are_named(copied: Context):
    path = copied.data / "prompts.json"
    content = json.loads(path.read_text())
    for address in (ADDRESSES[-1], ADDRESSES[2]):
        path.write_text(json.dumps({**content, address: {"value": 1, "sha256": "00"}}))
        with pytest.raises(DataError, match="pinned is 00"):
            KgPrompts(copied)
    del content[ADDRESSES[-1]]
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=f"has no {ADDRESSES[-1]}"):
        KgPrompts(copied)


@pytest.mark.parametrize(("suite", "count"), [("smoke", 20), ("nightly", 150)])
def test_the_suites_of_real_data_need_no_server(
    mirror: Path, monkeypatch: pytest.MonkeyPatch, suite: str, count: int
):
    monkeypatch.delenv("HARNESS_SPARQL", raising=False)
    work = Workload(suites=(suite,), mirror=str(mirror))
    made = plan.make(RunRequest(work, ModelChoice(model="oracle")))
    (found,) = [task for task in made.tasks if task.spec.name == "knowledgegraph"]
    assert (len(found.samples), found.cfg.options.backend) == (count, "synthetic")


def test_known_edges_are_gold_edges_once():
    edges = known_edges(samples(FIXTURE, "std"), 3)
    assert edges == [
        ("m.t_005", "boats.ship_designer.boats_designed"),
        ("m.t_003", "boats.ship_class.ships_in_class"),
        ("m.t_001", "boats.ship_builder.ships_built"),
    ]
