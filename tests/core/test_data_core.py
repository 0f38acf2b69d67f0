"""Core files: in folders of their own, made from a checkout byte for byte; and the notice read from them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from checkouts import write_programs

from harness import data
from harness.data.core import PROMPTS
from harness.data.prepare import prepare
from harness.errors import DataError, MissingPart


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HARNESS_MIRROR", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def checkout(mirror: Path, tmp_path: Path) -> Path:
    """Sources that hold the mirror's texts at their addresses."""
    write_programs(tmp_path / "AgentTuning", data.literals(mirror / PROMPTS))
    return tmp_path / "AgentTuning"


def test_prepare_writes_the_pinned_bytes(checkout: Path, mirror: Path, cache: Path):
    (made,) = prepare("core", checkout)
    assert made == cache / "data" / "cardgame" / "prompts.json"
    assert made.read_bytes() == (mirror / PROMPTS).read_bytes()


def test_the_card_game_makes_the_same_file_and_copies_its_configurations(checkout: Path, mirror: Path):
    shutil.copytree(mirror / "cardgame" / "AgentBench.old", checkout / "AgentBench.old", dirs_exist_ok=True)
    made = {path.name: path.read_bytes() for path in prepare("card_game", checkout)}
    assert made.pop("prompts.json") == (mirror / PROMPTS).read_bytes()
    assert sorted(made) == ["dev.yaml", "ext.yaml", "std.yaml"]
    assert data.resolve("card_game", None).problems == ()


def test_what_is_no_checkout_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="top folder of an AgentTuning checkout"):
        prepare("core", tmp_path)


def test_a_mirror_has_every_core_file(mirror: Path):
    assert data.resolve("core", str(mirror)).problems == ()
    assert data.core_file(PROMPTS, str(mirror)) == mirror / "cardgame" / "prompts.json"


def test_a_core_file_is_missed_where_it_should_lie(tmp_path: Path):
    (tmp_path / "mirror" / "webarena").mkdir(parents=True)
    lines = data.resolve("core", str(tmp_path / "mirror")).problems
    assert lines[1].startswith(f"prompts.json is not in {tmp_path / 'mirror' / 'cardgame'}: git clone ")
    assert lines[1].endswith(" && harness data prepare core --from AgentTuning")


def test_a_core_file_that_is_not_the_pinned_one_is_refused(mirror: Path, tmp_path: Path):
    place = tmp_path / "mirror" / "cardgame" / "prompts.json"
    place.parent.mkdir(parents=True)
    place.write_bytes((mirror / PROMPTS).read_bytes() + b"\n")
    with pytest.raises(DataError, match="is corrupt"):
        data.core_file(PROMPTS, str(tmp_path / "mirror"))


def test_a_file_that_core_does_not_list_is_named():
    with pytest.raises(MissingPart, match="harness data list core"):
        data.core_file("nothing.json")


def test_the_notice_of_a_run_on_the_mirror(mirror: Path):
    found = data.notice(mirror / "alfworld", "mirror")
    assert found is not None
    assert found.before.startswith("\n\n")
    assert data.notice(Path("elsewhere/alfworld"), "cache", str(mirror)) == found


def test_the_notice_of_a_run_on_the_cache(mirror: Path, cache: Path):
    folder = cache / "data" / "alfworld"
    with pytest.raises(MissingPart, match="harness data prepare core --from"):
        data.notice(folder, "cache")
    shutil.copytree(mirror / "cardgame", cache / "data" / "cardgame")
    assert data.notice(folder, "cache") == data.notice(mirror / "alfworld", "mirror")


def test_a_fixture_has_its_own_words_or_none(tmp_path: Path):
    assert data.notice(tmp_path, "fixture") is None
    (tmp_path / "notice.json").write_text(json.dumps(["\n[left out: ", " messages]"]))
    assert data.notice(tmp_path, "fixture") == ("\n[left out: ", " messages]")
    for wrong in ('["one"]', "[1, 2]", "no json", '{"before": "a"}'):
        (tmp_path / "notice.json").write_text(wrong)
        with pytest.raises(DataError, match="list of two strings"):
            data.notice(tmp_path, "fixture")
