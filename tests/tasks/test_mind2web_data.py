"""Mind2Web's data: what prepare makes of the released form, and what is refused."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import mind2web_kit as kit
import pytest

from harness.data import literals, quiet, write_literals
from harness.data.pins import pins
from harness.errors import DataError, MissingPart
from tasks.mind2web import prompts, rows
from tasks.mind2web.prepare import prepare
from tasks.mind2web.released import steps


@pytest.fixture
def released(tmp_path: Path) -> Path:
    return kit.write(tmp_path / "image")


def contents(path: Path) -> list[list[Any]]:
    with closing(sqlite3.connect(path)) as db:
        return [list(db.execute(f"SELECT * FROM {name} ORDER BY 1")) for name in ("meta", "step", "page")]


def test_the_fixture_is_what_prepare_makes_of_the_released_form(released: Path, tmp_path: Path):
    told: list[str] = []
    made = prepare(released, tmp_path / "out", lambda done, total, what: told.append(what))
    assert [path.name for path in made] == ["std.sqlite", "dev.sqlite"]
    for path in made:
        assert contents(path) == contents(kit.FIXTURE / path.name)
        assert "a copy nobody needs" not in str(contents(path))
    assert (len(told), told[0]) == (13, "data_std aaaa-0/0a")
    assert sum(path.stat().st_size for path in kit.FIXTURE.rglob("*") if path.is_file()) < 300 * 1024


def test_steps_are_flattened_in_order_with_the_recorded_actions_before_them():
    found = rows.read(rows.split_file(kit.FIXTURE, "std"))
    assert [len(step.previous) for step in found] == [0, 1, 2, 3, 4, 5, 6, 0, 1, 0, 1]
    assert found[6].previous[-1] == "[element]  0f of aaaa-0 -> CLICK"
    assert [len(step.candidates) for step in found] == [10, 6, 11, 1, 0, 0, 10, 10, 10, 10, 6]
    assert [step.best for step in found] == [1, 5, 0, 0, None, 10, 1, 2, 2, 3, 0]
    assert found[6].candidates[:2] == ["103", "105"], "right elements come first, in the page's own order"


def test_the_global_order_is_one_generator_over_steps_with_a_target_and_the_other_has_no_neighbours():
    found = rows.read(rows.split_file(kit.FIXTURE, "std"))
    one, each = rows.pools(found, "global123"), rows.pools(found, "per_sample")
    assert one[0] == ["204", "203", "201", "205", "103", "105", "202", "102", "200", "101"]
    without = [*found[:4], *found[6:]]  # the two that draw nothing
    assert rows.pools(without, "global123") == [ids for ids in one if ids]
    assert rows.pools(found[1:], "global123") != one[1:]
    assert rows.pools(found[1:], "per_sample") == each[1:]
    assert (
        [sorted(ids) for ids in one] == [sorted(ids) for ids in each] == [sorted(s.candidates) for s in found]
    )


def changed(released: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the first task of the test split."""
    path = released / "data_std" / "part_0.json"
    (task,) = json.loads(path.read_text(encoding="utf-8"))
    change(task)
    path.write_text(json.dumps([task]), encoding="utf-8")


def without_a_candidate(task: dict[str, Any]) -> None:
    action = task["actions"][0]
    action["cleaned_html"] = action["cleaned_html"].replace('backend_node_id="204"', 'backend_node_id="9"')


def with_text_as_candidate(task: dict[str, Any]) -> None:
    action = task["actions"][1]
    for tag in ("<span", "</span"):
        action["cleaned_html"] = action["cleaned_html"].replace(tag, tag.replace("span", "text"))


def test_every_step_that_cannot_be_played_is_named_when_it_is_prepared(released: Path, tmp_path: Path):
    def change(task: dict[str, Any]) -> None:
        without_a_candidate(task)
        with_text_as_candidate(task)
        actions = task["actions"]
        actions[2]["action_uid"] = "zz"
        actions[3]["cleaned_html"] = "<a>SECRET &nbsp;</a>"
        actions[5]["neg_candidates"].append({"backend_node_id": "77"})
        actions.append(actions[6])
        task["action_reprs"].append("")

    changed(released, change)
    with pytest.raises(DataError) as refused:
        prepare(released, tmp_path / "out", quiet)
    assert str(refused.value).splitlines() == [
        f"{released / 'data_std'} cannot be used:",
        "  step aaaa-0_0a: its page has no element 204, which is a candidate",
        "  step aaaa-0_0b: its page has no element 103, which is a candidate",
        "  the score file has no ranks for step aaaa-0_zz",
        "  step aaaa-0_0d: the page is not well-formed XML (line 1)",
        "  the score file has no rank for element 77 of step aaaa-0_0f",
        "  step aaaa-0_0g is there twice",
    ]
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda task: task["actions"][0].pop("operation"), "missing required field `operation`"),
        (lambda task: task["actions"][0].update(pos_candidates=None), r"null.*pos_candidates"),
        (lambda task: task.update(actions={}), r"array.*actions"),
    ],
)
def test_a_file_of_another_form_is_named_with_the_place(
    change: Callable[[dict[str, Any]], None], words: str, released: Path
):
    changed(released, change)
    with pytest.raises(DataError, match=rf"part_0.json is no file of Mind2Web, copy it again: .*{words}"):
        list(steps(released / "data_std", ["part_0.json"]))


def test_a_split_that_is_whole_is_not_made_again(released: Path, tmp_path: Path):
    changed(released, lambda task: task["actions"][4].update(cleaned_html="<a>"))
    out = tmp_path / "out"
    prepare(released, out, quiet)
    assert rows.page(out / "std.sqlite", 4) == "<a>", "a page that nobody is asked about may be anything"
    shutil.copy(released / "data_std/part_0.json", released / "data_dev/part_1.json")
    stamps = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    told: list[str] = []
    prepare(released, out, lambda done, total, what: told.append(what.split()[0]))
    assert set(told) == {"data_dev"}
    assert out.joinpath("std.sqlite").stat().st_mtime_ns == stamps["std.sqlite"]


def test_a_folder_with_nothing_or_half_of_it_is_refused(released: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingPart, match="neither data_std and data_dev"):
        prepare(tmp_path / "empty", tmp_path / "out", quiet)
    (released / kit.SCORES).unlink()
    with pytest.raises(MissingPart, match=r"scores_all_data.pkl is missing"):
        prepare(released, tmp_path / "out", quiet)


@pytest.mark.parametrize("spoilt", [b"", b"no database", b"SQLite format 3\0" + b"x" * 5000])
def test_a_spoilt_file_is_named(spoilt: bytes, tmp_path: Path):
    path = tmp_path / "std.sqlite"
    path.write_bytes(spoilt)
    with pytest.raises(DataError, match=r"std.sqlite cannot be read .*doctor mind2web"):
        rows.read(path)
    with pytest.raises(DataError, match=r"std.sqlite"):
        rows.read(tmp_path / "absent" / "std.sqlite")


@pytest.mark.mirror
def test_prompts_are_read_from_a_checkout_with_the_mirrors_bytes(mirror: Path, tmp_path: Path):
    """The checkout's source has the mirror's literals at their addresses, among other texts."""
    known = literals(mirror / "mind2web/prompts.json")
    checkout, functions = tmp_path / "checkout", []
    for name, addresses in (("generation", prompts.GENERATION), ("multichoice", prompts.QUESTION)):
        texts = ["filler"] * 12
        for address in addresses:
            texts[int(address.rpartition("#")[2])] = str(known[address])
        functions.append(f"def format_input_{name}():\n    return {texts!r}\n")
    script = checkout / "AgentBench.old/src/tasks/mind2web/dataloader.py"
    script.parent.mkdir(parents=True)
    script.write_text("\n".join(functions), encoding="utf-8")
    with pytest.raises(DataError, match=r"llm_prompt_cot.json is missing"):
        prepare(checkout, tmp_path / "out", quiet)
    place = checkout / prompts.EXEMPLARS
    place.parent.mkdir(parents=True)
    shutil.copy(mirror / "mind2web" / prompts.EXEMPLARS, place)
    made = prepare(checkout, tmp_path / "out", quiet)
    pinned = {pin.path: pin.sha256 for pin in pins("mind2web").files if pin.sha256}
    assert {path.relative_to(tmp_path / "out").as_posix(): sha256(path) for path in made} == pinned


def sha256(path: Path) -> str:
    from hashlib import sha256

    return sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("spoilt", ["[]", "{}", '[{"role": "user", "content": "x"}]', "[[[", '[{"role": 1}]'])
def test_spoilt_exemplars_are_named(spoilt: str, tmp_path: Path):
    write_literals(tmp_path / "prompts.json", literals(kit.FIXTURE / "prompts.json"))
    (tmp_path / prompts.EXEMPLARS).parent.mkdir(parents=True)
    (tmp_path / prompts.EXEMPLARS).write_text(spoilt, encoding="utf-8")
    with pytest.raises(DataError, match=r"llm_prompt_cot.json.*doctor mind2web"):
        prompts.load(tmp_path)
