"""Entries of models.toml whose kind is `hf`: how they are run, what is told of it, and what is refused."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from tiny_model import needed, write_tiny
from typed import typed

from harness.catalog.models import find
from harness.checks.local_model import local_findings
from harness.errors import DataError, MissingPart
from harness.models.api import Call
from harness.models.connect import open_model
from harness.types import Ask, CallKey, Message

ENTRY = '[mine]\nkind = "hf"\n'
CALL = Call(CallKey("gsm8k", "test/0", 0, 0), (Message("user", "how many apples?"),), None, Ask(4))


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Writes the models file."""

    def write(text: str):
        (tmp_path / "models.toml").write_text(text)
        monkeypatch.setenv("HARNESS_MODELS", str(tmp_path / "models.toml"))

    return write


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which the tiny model lies as `tiny`."""
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny").parent


@pytest.fixture
def tiny(folder, monkeypatch):
    """A models file beside the tiny model, which names it by a path from there."""
    keys = 'path = "tiny"\ndevice = "cpu"\ndtype = "bfloat16"\nbatch = 3\n'
    (folder / "models.toml").write_text(ENTRY + keys)
    monkeypatch.setenv("HARNESS_MODELS", str(folder / "models.toml"))
    return folder / "tiny"


async def test_a_model_runs_as_its_entry_says(tiny):
    needed("torch")
    async with open_model("mine") as model:
        assert (await model.complete(CALL)).output_tokens
        told = model.info
        assert told["identity"]["dtype"] == "bfloat16" and told["identity"]["served"] == str(tiny)
        assert told["warnings"] == ["bfloat16: greedy texts may differ with what else ran in the batch"]
        assert told["comparable"] == "random weights"
    async with open_model(f"hf:{tiny}") as model:
        assert model.info["identity"]["dtype"] == "float32" and not model.info["warnings"]


async def test_it_runs_as_many_at_once_as_its_entry_says(tiny, monkeypatch):
    from harness.models.local import local_hf

    seen, real = [], local_hf.serving
    monkeypatch.setattr(
        local_hf, "serving", lambda loaded, settings: seen.append(settings) or real(loaded, settings)
    )
    async with open_model("mine"):
        assert [(one.batch, one.dtype, one.device) for one in seen] == [(3, "bfloat16", "cpu")]


def test_the_doctor_reckons_with_the_entrys_numbers(tiny):
    needed("torch")
    _, template, memory = local_findings(find("mine"))
    assert template.state == "its own" and "weights in bfloat16" in memory.state
    elsewhere = local_findings(replace(find("mine"), device="cuda:7"))[-1]
    if not needed("torch").cuda.is_available():
        assert (elsewhere.level, elsewhere.state) == ("fail", "torch finds no cuda:7 here")


async def test_a_device_that_is_not_there_is_named(tiny):
    if needed("torch").cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(MissingPart, match=r"torch finds no GPU for device cuda; take cpu"):
        async with open_model(replace(find("mine"), device="cuda")):
            pass


def test_an_entry_is_shown_with_its_keys(models, tmp_path, capsys):
    models(ENTRY + 'hf = "me/tuned"\nrevision = "v2"\nbatch = 8\n')
    status, said = typed(capsys, "models", "show", "mine")
    assert status == 0, said
    file = re.escape(str(tmp_path / "models.toml"))
    assert re.search(rf'^kind = "hf"  # {file}$', said, re.MULTILINE)
    assert re.search(rf'^revision = "v2"  # {file}\n    of kind `hf`: branch, tag', said, re.MULTILINE)
    assert re.search(rf"^batch = 8  # {file}$", said, re.MULTILINE)
    assert 'dtype = ""  # default' in said
    assert find("mine").path == "me/tuned", "a name on the hub stays one"


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ("", "needs path, the folder with the model, or hf, its id on the hub"),
        ('path = "x"\ndtype = "int8"\n', "dtype must be one of float32, float16, bfloat16"),
        ('path = "x"\nbatch = -1\n', "batch must be at least 1"),
        ('path = "x"\nbatch = "many"\n', r"Expected `int`, got `str` - at `\$.batch`"),
        ('path = "x"\nendpoints = ["http://h:1"]\n', "runs inside the harness: take out endpoints"),
        ('path = "x"\nquantize = "awq"\n', r"unknown keys \(quantize\)"),
    ],
)
def test_wrong_keys_are_named(models, keys, says):
    models(ENTRY + keys)
    with pytest.raises(DataError, match=rf"models.toml: \[mine\].*{says}"):
        find("mine")


def test_keys_of_a_model_that_runs_here_are_refused_for_a_server(models):
    models('[served]\nkind = "tgi"\ntemplate = "llama3"\ndtype = "float16"\nbatch = 2\n')
    with pytest.raises(
        DataError, match=r'has dtype, batch, which only a model that runs here has: kind = "hf"'
    ):
        find("served")
