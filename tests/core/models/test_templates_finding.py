"""Where a chat template is found, and what is said when it is not there or cannot be used."""

import asyncio
import json
import shutil
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from reference_templates import FOLDER, talk

from harness.catalog import models as catalog
from harness.errors import DataError, MissingPart, UsageError
from harness.models.api import Options
from harness.models.clients.build import templates
from harness.templates import ConversationError, template
from harness.types import Message

HELLO = (Message("user", "hi"),)
ECHO = "{% for m in messages %}{{ m['role'] }}:{{ m['content'] }}{{ eos_token }}{% endfor %}"


@pytest.fixture
def no_hub(monkeypatch, tmp_path):
    """An empty cache, and a hub that refuses connections."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")


def jinja(folder, source, **config):
    folder.mkdir(exist_ok=True)
    path = folder / "t.jinja"
    path.write_text(source, encoding="utf-8")
    if config:
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return template(str(path))


def test_a_jinja_file_takes_its_tokens_from_the_files_beside_it(tmp_path):
    assert jinja(tmp_path / "with", ECHO, eos_token="</s>").render(HELLO) == "user:hi</s>"
    with pytest.raises(ConversationError, match="'eos_token' is undefined"):
        jinja(tmp_path / "without", ECHO).render(HELLO)
    with pytest.raises(DataError, match="give the model's folder, whose files define its tokens"):
        jinja(tmp_path / "without", ECHO).try_out()
    assert jinja(tmp_path / "bos", "{{ bos_token }}U{{ messages[0].content }}").render(HELLO) == "Uhi"


def test_a_token_that_a_configuration_lacks_is_empty(tmp_path):
    assert jinja(tmp_path, ECHO + "{{ nothing }}", eos_token=None).render(HELLO) == "user:hi"


def test_the_map_of_tokens_counts_where_the_configuration_lists_none(tmp_path):
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"eos_token": {"content": "<map>"}}))
    assert jinja(tmp_path, ECHO, eos_token="</s>").render(HELLO) == "user:hi<map>"
    listed = jinja(tmp_path, ECHO, eos_token="</s>", added_tokens_decoder={})
    assert listed.render(HELLO) == "user:hi</s>"


def test_a_bos_that_the_tokenizer_does_not_add_stays(tmp_path):
    source = "{{ bos_token }}" + ECHO
    added = jinja(tmp_path, source, bos_token="<s>", add_bos_token=True)
    written = jinja(tmp_path, source, bos_token="<s>", add_bos_token=False)
    assert (added.render(HELLO), written.render(HELLO)) == ("user:hi", "<s>user:hi")
    assert added.sha256 != written.sha256


def test_a_file_of_its_own_goes_before_the_configuration(tmp_path):
    jinja(tmp_path, "", chat_template="config {{ messages[0].content }}")
    assert template(f"{tmp_path}/").render(HELLO) == "config hi"
    (tmp_path / "chat_template.jinja").write_text("file {{ messages[0].content }}")
    assert template(f"{tmp_path}/").render(HELLO) == "file hi"
    assert template(str(tmp_path / "tokenizer_config.json")).render(HELLO) == "config hi"


def test_another_file_of_the_folder_means_the_folder_with_its_tokens(tmp_path):
    source = "{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}"
    jinja(tmp_path, "", chat_template=source, eos_token="</s>")
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    assert template(str(tmp_path / "config.json")).render(HELLO) == "hi</s>"


def test_a_file_that_holds_weights_is_no_template(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.gguf").write_bytes(b"GGUF\x80\xff")
    with pytest.raises(DataError, match=r"give a \.jinja file or the model's tokenizer_config"):
        template("tiny.gguf")


def test_a_folder_without_a_template_says_where_it_looked(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text("{}")
    with pytest.raises(
        DataError, match=r"looked for chat_template\.jinja, .* or none for a model without one"
    ):
        template(str(tmp_path))


def test_named_templates_without_a_default_are_listed(tmp_path):
    rows = [{"name": "rag", "template": "R"}, {"name": "tool_use", "template": "T"}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": rows}))
    with pytest.raises(
        DataError, match=r"several chat templates \(rag, tool_use\) and none is called default"
    ):
        template(str(tmp_path))


@pytest.mark.parametrize(
    "source",
    [
        "{% for one in tools %}{{ one | tojson }}{% endfor %}{{ messages[-1].content }}",
        "{% if not tools %}{{ raise_exception('no tools') }}{% endif %}{{ messages[-1].content }}",
    ],
)
def test_a_template_that_needs_tools_says_so(source, tmp_path):
    with pytest.raises(
        DataError, match=r"it needs tools, and no task sends any; .*: give the model's default"
    ):
        jinja(tmp_path, source).try_out()


def test_a_template_that_leaves_out_the_users_text_is_refused(tmp_path):
    with pytest.raises(DataError, match="it leaves out what the user says"):
        jinja(tmp_path, "{{ messages[0].text }}").try_out()


def test_a_template_for_parts_gets_parts(tmp_path):
    source = "{% for m in messages %}{{ m.role }}{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}"
    used = jinja(tmp_path, source)
    used.try_out()
    assert used.render((Message("system", "S"), *HELLO)) == "systemSuserhi"


def test_endless_templates_end(tmp_path):
    loops = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}"
    with pytest.raises(ConversationError, match="loops go round more than"):
        jinja(tmp_path, loops).render(HELLO)
    writing = "{% set long = 'x' * 99999 %}{% for a in range(9999) %}{{ long }}{% endfor %}"
    with pytest.raises(ConversationError, match="writes over"):
        jinja(tmp_path, writing).render(HELLO)
    with pytest.raises(ConversationError, match="Recursion"):
        jinja(tmp_path, "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}").render(HELLO)
    with pytest.raises(DataError, match="too long to be one"):
        jinja(tmp_path, "x" * (1 << 20) + "y").try_out()


LONG = "{% set ns = namespace(t='xxxxxxxx') %}{% for _ in range(60) %}%s{% endfor %}{{ ns.t|length }}"
DOUBLING = {
    "added": "{% set ns.t = ns.t + ns.t %}",
    "joined": "{% set ns.t = ns.t ~ ns.t %}",
    "multiplied": "{% set ns.t = ns.t * 2 %}",
    "in a block": "{% set ns.t %}{{ ns.t }}{{ ns.t }}{% endset %}",
    "replaced": "{% set ns.t = ns.t.replace('x', 'xx') %}",
    "filtered": "{% set ns.t = ns.t|replace('x', 'xx') %}",
    "listed": "{% set ns.t = [ns.t, ns.t]|join %}",
    "joined by a text": "{% set ns.t = ns.t.join(['x', 'x', 'x']) %}",
}


@pytest.mark.parametrize("doubled", DOUBLING.values(), ids=DOUBLING)
def test_texts_that_double_and_double_end(doubled, tmp_path):
    with pytest.raises(ConversationError, match="makes texts of over"):
        jinja(tmp_path, LONG.replace("%s", doubled)).render(HELLO)
    some = LONG.replace("range(60)", "range(5)").replace("%s", doubled)
    assert int(jinja(tmp_path, some).render(HELLO)) >= 8 * 2**5


def test_many_long_texts_are_too_many(tmp_path):
    many = "{% for i in range(99) %}{% set long = 'x' * 60000000 %}{% endfor %}"
    with pytest.raises(ConversationError, match="or too many"):
        jinja(tmp_path, many).render(HELLO)
    with pytest.raises(ConversationError, match="makes texts of over"):
        jinja(tmp_path, "{{ 10 ** 999999999 }}").render(HELLO)


def test_a_moved_system_text_is_part_of_the_hash_and_said_in_the_runs_record(tmp_path):
    used = template(str(FOLDER / "gemma-2"))
    assert used.render((Message("system", "S"), *HELLO)) == (
        "<start_of_turn>user\nS\n\nhi<end_of_turn>\n<start_of_turn>model\n"
    )
    assert used.render((Message("system", ""), *HELLO)) == used.render(HELLO)


def test_paths_in_a_models_file_are_relative_to_it(tmp_path, monkeypatch):
    shutil.copytree(FOLDER / "yi", tmp_path / "models" / "yi")
    jinja(tmp_path / "models", "J{{ messages[-1].content }}")
    shutil.copytree(FOLDER / "yi", tmp_path / "models" / "org" / "other")
    (tmp_path / "models" / "mine.toml").write_text(
        '[one]\ntemplate = "t.jinja"\n'
        '[two]\ntemplate = "./yi"\ntemplates = { mmlu = "./t.jinja", os = "chatml" }\n'
        '[three]\ntemplate = "org/model"\n[four]\ntemplate = "org/other"\n'
    )
    monkeypatch.chdir(tmp_path)
    entries = catalog.load(tmp_path / "models" / "mine.toml")
    assert templates(entries["one"], "paper", Options())[""].render(HELLO) == "Jhi"
    chosen = templates(entries["two"], "paper", Options())
    assert chosen["mmlu"].render(HELLO) == "Jhi" and chosen["os"].id == "chatml"
    assert "<|im_start|>user" in chosen[""].render(HELLO)
    assert templates(entries["four"], "paper", Options())[""].source == chosen[""].source
    assert entries["three"].template == "org/model", "a hub id stays one"


def test_unknown_names_say_what_to_give():
    with pytest.raises(
        UsageError, match=r"unknown chat template 'chatlm'; known: .*chatml.* its id on the hub"
    ):
        template("chatlm")
    with pytest.raises(MissingPart, match="is not there"):
        template("./nobody/nothing")


@pytest.mark.usefixtures("no_hub")
def test_a_model_in_the_cache_needs_no_hub(tmp_path):
    model = tmp_path / "cache" / "models--org--box"
    shutil.copytree(FOLDER / "zephyr", model / "snapshots" / "abc123")
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("abc123")
    used = template("org/box")
    assert used.id == "org/box" and used.render(HELLO) == "<|user|>\nhi</s>\n<|assistant|>\n"


@asynccontextmanager
async def hub(models):
    """The hub's way to give files: a HEAD with the commit and the hash, then the bytes."""

    async def give(request):
        path = models / request.match_info["model"] / request.match_info["file"]
        if not path.parent.is_dir():
            return web.Response(status=404, headers={"X-Error-Code": "RepoNotFound"})
        if not path.is_file():
            return web.Response(
                status=404, headers={"X-Error-Code": "EntryNotFound", "X-Repo-Commit": "c" * 40}
            )
        headers = {"X-Repo-Commit": "c" * 40, "ETag": f'"{path.name}"'}
        return web.Response(body=path.read_bytes(), headers=headers)

    app = web.Application()
    app.router.add_get("/org/{model}/resolve/main/{file}", give)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_a_models_small_files_are_downloaded_once(tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub", reason="the extra hf is not installed")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    async with hub(FOLDER) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        first = await asyncio.to_thread(template, "org/gemma-2")
        with pytest.raises(
            MissingPart, match="nothing is no file or folder here, and the hub did not give it"
        ):
            await asyncio.to_thread(template, "org/nothing")
    said = tuple(Message(one["role"], one["content"]) for one in talk(2, system=False))
    assert first.render(said) == template(str(FOLDER / "gemma-2")).render(said)
    assert template("org/gemma-2") == first, "now from the cache: the hub is gone"
