"""ALFWorld's data: games, the legacy grammar, names, prompts, samples and what prepare brings."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from contexts import samples_of, task_context

from harness import data
from harness.data import quiet
from harness.errors import DataError, MissingPart
from harness.types import Context
from tasks.alfworld import prompts, rows
from tasks.alfworld.engine import Translation, names
from tasks.alfworld.prepare import prepare
from tasks.alfworld.task import GAMES, LOGIC, TASK

FIXTURE = data.resolve("alfworld", "fixture").path


def context(folder: Path, **options: object) -> Context:
    return task_context(TASK, folder, folder, **options)


def test_names_count_down_within_a_class() -> None:
    ids = [
        "mug_bar_minus_01",
        "mug_bar_plus_02",
        "sink_bar_1_bar_sinkbasin",
        "sink_bar_1",
        "agent1",
        "loc_bar_0",
    ]
    assert names(ids) == {
        "agent1": "agent1 ",
        "loc_bar_0": "loc 1",
        "mug_bar_minus_01": "mug 2",
        "mug_bar_plus_02": "mug 1",
        "sink_bar_1": "sink 1",
        "sink_bar_1_bar_sinkbasin": "sinkbasin 1",
    }
    assert names(reversed(ids)) == names(ids)


def test_a_game_is_translated_once_unless_a_plan_is_wanted() -> None:
    calls: list[tuple[str, bool]] = []

    def translate(domain: str, problem: str, **more: bool) -> tuple[object, str]:
        calls.append((problem, more.get("optimize", False)))
        return object(), f"sas of {problem}"

    translation = Translation(translate)
    calls.clear()
    for _ in range(2):  # the engine loads and resets
        assert translation("d", "p", verbose=False)[1] == "sas of p"
        assert translation("d", "p", verbose=False, optimize=True)[0] is None
    assert calls == [("p", False)]
    translation.forget()
    translation.plan = True
    for _ in range(2):
        assert translation("d", "p", verbose=False, optimize=True)[1] == "sas of p"
    assert calls == [("p", False), ("p", True)]


def test_fixture_is_small_and_has_all_six_kinds() -> None:
    assert sum(path.stat().st_size for path in FIXTURE.rglob("*") if path.is_file()) <= 300_000
    samples = samples_of(TASK, context(FIXTURE), "std")
    assert sorted(sample.data["kind"] for sample in samples) == sorted(rows.KINDS.values())
    assert samples[0].id == "pick_and_place_simple-Mug-None-Desk-1/trial_selfmade_put"
    for sample in samples:
        assert rows.read(FIXTURE / GAMES / sample.data["path"]).problem.startswith("(define (problem")


def test_legacy_changes_language_and_walkthrough_only() -> None:
    old = rows.read_logic(FIXTURE / LOGIC)
    path = FIXTURE / GAMES / samples_of(TASK, context(FIXTURE), "std")[0].data["path"]
    native = rows.read(path)
    converted = rows.legacy(native, old)
    assert native.walkthrough[-1] == "move mug 1 to desk 1"
    assert converted.walkthrough[-1] == "put mug 1 in/on desk 1"
    assert converted.walkthrough[:-1] == native.walkthrough[:-1]
    assert converted.problem == native.problem and converted.logic.domain == old.domain
    assert "Your task is to: put some mug on desk." in converted.logic.grammar
    assert rows.PLACEHOLDER not in converted.logic.grammar
    assert "move {o}" in native.logic.grammar and "move {o}" not in converted.logic.grammar


def test_bad_files_are_data_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a game"):
        rows.read(tmp_path / "absent")
    (tmp_path / "g").write_text('{"grammar": 1}')
    with pytest.raises(DataError, match="is not a game"):
        rows.read(tmp_path / "g")
    with pytest.raises(DataError, match="lacks the legacy grammar"):
        rows.read_logic(tmp_path)
    with pytest.raises(DataError, match="starts with none of"):
        rows.kind("json/juggle_three-Mug/trial_1/game.tw-pddl")
    with pytest.raises(DataError, match="does not say what the task is"):
        rows.legacy(rows.Game(rows.Logic("", ""), ""), rows.Logic("", rows.PLACEHOLDER))
    with pytest.raises(DataError, match="cannot be read"):
        samples_of(TASK, context(tmp_path), "std")


def test_opening_alternates_and_prefixes_a_copy() -> None:
    loaded = prompts.load(FIXTURE, "agenttuning")
    for kind in rows.KINDS.values():
        opening = loaded.opening(kind)
        assert [message.role for message in opening] == ["user", "assistant"] * (len(opening) // 2)
        assert opening == loaded.opening(kind)  # upstream's prefix piled up when a task object was used again
        assert opening[2].content.count(loaded.example.strip()) == 1
        # The first message is stripped when it is shown, behind the notice of its window.
        assert opening[0].content == loaded.instruction
        assert all(message.content == message.content.strip() for message in opening[1:])
        assert [message.pin for message in opening] == ["", "", *["shot"] * (len(opening) - 2)]


def test_observations_lose_banner_and_arrival() -> None:
    loaded = prompts.load(FIXTURE, "agenttuning")
    assert loaded.first("-= Banner =-\n\nA room.\n\nA task.") == loaded.task + "A room.\nA task."
    assert loaded.observation("You arrive at loc 3. On the bed 1, you see nothing.") == (
        "On the bed 1, you see nothing."
    )
    assert loaded.observation("You open it. Fine.") == "You open it. Fine."


def test_v02_mends_the_spelling_unless_it_has_its_own_text(tmp_path: Path) -> None:
    for path in FIXTURE.rglob("*.json"):
        target = tmp_path / path.relative_to(FIXTURE)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    texts = dict(data.literals(FIXTURE / "prompts.json"))
    texts[prompts.INSTRUCTION] = "The envrionment."
    data.write_literals(tmp_path / "prompts.json", texts)
    assert prompts.load(tmp_path, "agenttuning").instruction == "The envrionment."
    assert prompts.load(tmp_path, "agentbench-v0.2").instruction == "The environment."
    data.write_literals(tmp_path / prompts.NEWER_FILE, {prompts.NEWER: "Another."})
    assert prompts.load(tmp_path, "agentbench-v0.2").instruction == "Another."
    assert prompts.load(tmp_path, "agenttuning").instruction == "The envrionment."


def test_mirror_has_the_papers_50_and_20_games(mirror: Path) -> None:
    folder = mirror / "alfworld"
    std, dev = (samples_of(TASK, context(folder), split) for split in ("std", "dev"))
    kinds = ("put", "clean", "heat", "cool", "examine", "puttwo")
    assert [Counter(s.data["kind"] for s in std)[k] for k in kinds] == [9, 9, 8, 8, 8, 8]
    assert [Counter(s.data["kind"] for s in dev)[k] for k in kinds] == [4, 4, 3, 3, 3, 3]
    assert not {sample.id for sample in std} & {sample.id for sample in dev}
    for sample in (*std, *dev):
        assert rows.sample_id(sample.data["path"]) == sample.id
        found = rows.read(folder / GAMES / sample.data["path"])
        assert 3 <= len(found.walkthrough) <= 9 and "move " not in "".join(
            rows.legacy(found, rows.read_logic(folder / LOGIC)).walkthrough
        )
    assert data.resolve("alfworld", str(mirror)).problems == ()


def test_mirror_opening_is_upstreams(mirror: Path) -> None:
    loaded = prompts.load(mirror / "alfworld", "agenttuning")
    assert len(loaded.instruction) == 1334
    lengths = {"put": 14, "clean": 14, "heat": 14, "cool": 18, "puttwo": 18, "examine": 12}
    assert {kind: len(loaded.opening(kind)) - 2 for kind in lengths} == lengths
    assert {k: len(t) for k, t in prompts.load(mirror / "alfworld", "agentbench-v0.2").exemplars.items()} == (
        lengths
    )


def test_prepare_takes_the_games_out_of_an_archive(tmp_path: Path, mirror: Path) -> None:
    games = mirror / "alfworld" / GAMES
    archive = tmp_path / "json_2.1.3_tw-pddl.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for path in sorted(games.rglob("game.tw-pddl")):
            out.write(path, path.relative_to(games).as_posix())
        out.writestr("json_2.1.1/train/other-Mug/trial_1/game.tw-pddl", "{}")
    written = prepare(archive, tmp_path / "data", quiet)
    assert len(written) == 70
    assert all(
        path.read_bytes() == (games / path.relative_to(tmp_path / "data" / GAMES)).read_bytes()
        for path in written
    )
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    assert len(prepare(folder, tmp_path / "again", quiet)) == 70
    altered = next(folder.rglob("valid_unseen/*/*/game.tw-pddl"))
    altered.write_text(altered.read_text() + " ")
    with pytest.raises(DataError, match=r"take json_2\.1\.3_tw-pddl\.zip"):
        prepare(folder, tmp_path / "bad", quiet)
    altered.unlink()
    with pytest.raises(DataError, match="lacks 1 games"):
        prepare(folder, tmp_path / "bad", quiet)


def test_prepare_reads_checkouts(tmp_path: Path) -> None:
    base = tmp_path / "AgentTuning/AgentBench.old"
    code = base / "src/tasks/alfworld"
    (code / "prompts").mkdir(parents=True)
    strings = "\n".join(f"        x = 'run {n}'" for n in range(15))
    (code / "task.py").write_text(
        "class ALFWorld:\n    def get_task_instruction(self):\n        return 'Do.'\n"
        f"    def alfworld_run(self):\n{strings}\n"
    )
    (code / "utils.py").write_text("def process_ob(ob):\n    return ob.startswith('You arrive')\n")
    for name in prompts.EXEMPLARS.values():
        (code / "prompts" / name).write_text("{}")
    (base / "data/alfworld").mkdir(parents=True)
    for split in ("std", "dev"):
        (base / f"data/alfworld/{split}.json").write_text("{}")
    target = tmp_path / "data"
    assert len(prepare(base.parent, target, quiet)) == 5
    texts = data.literals(target / "prompts.json")
    assert (texts[prompts.INSTRUCTION], texts[prompts.TASK], texts[prompts.ARRIVAL]) == (
        "Do.",
        "run 14",
        "You arrive",
    )
    bench = tmp_path / "AgentBench"
    (bench / "data/alfworld/logic").mkdir(parents=True)
    for name in ("alfred.pddl", "alfred.twl2"):
        (bench / "data/alfworld/logic" / name).write_text(name)
    module = bench / "src/server/tasks/alfworld/task.py"
    module.parent.mkdir(parents=True)
    module.write_text("class ALFWorld:\n    def get_task_instruction():\n        return 'Newer.'\n")
    assert len(prepare(bench, target, quiet)) == 3
    assert json.loads((target / prompts.NEWER_FILE).read_text())[prompts.NEWER]["value"] == "Newer."
    with pytest.raises(MissingPart, match="is neither"):
        prepare(tmp_path / "data" / "AgentBench" / "data", target, quiet)
