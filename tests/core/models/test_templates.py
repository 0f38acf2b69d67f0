"""Chat templates, byte for byte against strings put together here."""

import json
import unicodedata
from dataclasses import replace

import pytest
from fault_server import FaultServer

from harness.catalog import models as catalog
from harness.errors import DataError, MissingPart, UsageError
from harness.models.api import Call, Options
from harness.models.clients.build import templates
from harness.models.connect import open_model
from harness.templates import ConversationError, names, sanitize, template
from harness.types import Ask, CallKey, Message

LLAMA_SYSTEM = "You are a helpful, respectful and honest assistant."
VICUNA_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
BEGIN, END = chr(0x0D46), chr(0x0D3F)
WILD = "h\u00e9 \u4e2d\u6587 \U0001f600 e\u0301 {{ x }} {% if %} \n two\n\n"


def talk(*texts, system=None):
    roles = ["user", "assistant"]
    turns = tuple(Message(roles[i % 2], text) for i, text in enumerate(texts))
    return turns if system is None else (Message("system", system), *turns)


def llama(system, *texts):
    """Assemble a Llama-2 transcript: users at even places, assistants between."""
    out = "[INST] " + (f"<<SYS>>\n{system}\n<</SYS>>\n\n" if system else "") + texts[0] + " [/INST]"
    for answer, question in zip(texts[1::2], texts[2::2], strict=True):
        out += " " + answer + " </s><s>[INST] " + question + " [/INST]"
    return out


def vicuna(system, *texts):
    out = system + " USER: " + texts[0] + " ASSISTANT:"
    for answer, question in zip(texts[1::2], texts[2::2], strict=True):
        out += " " + answer + "</s>USER: " + question + " ASSISTANT:"
    return out


def flan(system, *texts):
    out = f"<|Human|>{BEGIN}{system}\n " if system is not None else ""
    for i, text in enumerate(texts):
        out += f"<|Assistant|>{BEGIN}{text}{END}\n " if i % 2 else f"<|Human|>{BEGIN}{text}\n "
    return out + f"<|Assistant|>{BEGIN}"


TALKS = {
    "one turn": ("u1",),
    "two turns": ("u1", "a1", "u2"),
    "many turns": ("u1", "a1", "u2", "a2", "u3", "a3", "u4"),
    "unicode": (WILD, "\u00df" + WILD, WILD),
    "spaces kept": (" u1 ", " a1 ", " u2 "),
}


def chatml(system, *texts):
    turns = [("system", system)] if system is not None else []
    turns += [("assistant" if i % 2 else "user", text) for i, text in enumerate(texts)]
    return "".join(f"<|im_start|>{r}\n{t}<|im_end|>\n" for r, t in turns) + "<|im_start|>assistant\n"


def llama3(system, *texts):
    turns = [("system", system)] if system is not None else []
    turns += [("assistant" if i % 2 else "user", text) for i, text in enumerate(texts)]
    head = "<|start_header_id|>{}<|end_header_id|>\n\n"
    return "".join(head.format(r) + t.strip() + "<|eot_id|>" for r, t in turns) + head.format("assistant")


def zephyr(system, *texts):
    turns = [("system", system)] if system is not None else []
    turns += [("assistant" if i % 2 else "user", text) for i, text in enumerate(texts)]
    return "".join(f"<|{r}|>\n{t}</s>\n" for r, t in turns) + "<|assistant|>\n"


def mistral(system, *texts):
    texts = (f"{system}\n\n{texts[0]}" if system else texts[0], *texts[1:])
    out = f"[INST] {texts[0]} [/INST]"
    for answer, question in zip(texts[1::2], texts[2::2], strict=True):
        out += f" {answer}</s>[INST] {question} [/INST]"
    return out


def gemma(system, *texts):
    out = ""
    for i, text in enumerate(texts):
        before = f"{system}\n\n" if system and not i else ""
        role = "model" if i % 2 else "user"
        out += f"<start_of_turn>{role}\n{before}{text.strip()}<end_of_turn>\n"
    return out + "<start_of_turn>model\n"


def plain(system, *texts):
    return "\n\n".join(texts if system is None else (system, *texts))


DEFAULTS = {
    "chatml": (chatml, None),
    "qwen": (chatml, "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."),
    "llama3": (llama3, None),
    "mistral": (mistral, ""),
    "gemma": (gemma, ""),
    "zephyr": (zephyr, None),
    "none": (plain, None),
    "vicuna": (vicuna, VICUNA_SYSTEM),
    "llama2-chat": (llama, ""),
    "agentlm": (llama, LLAMA_SYSTEM),
    "agentlm-nosys": (llama, ""),
    "vicuna_v1.1": (vicuna, VICUNA_SYSTEM),
    "agent-flan": (flan, None),
}


@pytest.mark.parametrize("texts", TALKS.values(), ids=TALKS.keys())
@pytest.mark.parametrize("name", [n for n in names() if not n.startswith("teval")])
def test_template_renders_exactly(name, texts):
    build, default = DEFAULTS[name.removesuffix("-upstream")]
    assert template(name).render(talk(*texts)) == build(default, *texts)
    assert template(name).render(talk(*texts, system="S " + WILD)) == build("S " + WILD, *texts)


@pytest.mark.parametrize("name", ["llama2-chat", "agentlm", "agentlm-nosys"])
def test_an_empty_system_message_means_none(name):
    assert template(name).render(talk("u1", system="")) == "[INST] u1 [/INST]"


@pytest.mark.parametrize("name", names())
def test_no_template_writes_the_bos_the_server_adds(name):
    for texts in TALKS.values():
        assert not template(name).render(talk(*texts, system="S")).startswith("<s>")


def test_empty_answers_keep_separators_and_upstream_drops_them():
    emptied = talk("a", "", "c", system="S")
    head = "[INST] <<SYS>>\nS\n<</SYS>>\n\n"
    assert template("llama2-chat").render(emptied) == head + "a [/INST]  </s><s>[INST] c [/INST]"
    assert template("llama2-chat-upstream").render(emptied) == head + "a [/INST][INST] c [/INST]"
    assert template("agentlm-nosys-upstream").render(talk("a", "", "c")) == "[INST] a [/INST][INST] c [/INST]"
    assert template("llama2-chat-upstream").render(talk("", system="S")) == head + "[INST][/INST]"
    assert template("vicuna_v1.1").render(talk("a", "", "c", system="S")) == (
        "S USER: a ASSISTANT: </s>USER: c ASSISTANT:"
    )
    assert template("vicuna_v1.1-upstream").render(talk("a", "", "c", system="S")) == (
        "S USER: a ASSISTANT:USER: c ASSISTANT:"
    )


def test_teval_closes_with_a_backslash_only_upstream():
    turns = talk("u1", "a1", "u2", system="S")
    fixed = "[INST]S[/INST][INST]u1[/INST]a1</s>[INST]u2[/INST]"
    assert template("teval-llama2").render(turns) == fixed
    assert template("teval-llama2-upstream").render(turns) == fixed.replace("/INST]", "\\INST]")


CALLED = (
    Message("system", "S"),
    Message("user", "u"),
    Message("assistant", "a"),
    Message("function", "result"),
)


def test_teval_wraps_a_functions_result_like_a_users_turn():
    fixed = "[INST]S[/INST][INST]u[/INST]a</s>[INST]result[/INST]"
    assert template("teval-llama2").render(CALLED) == fixed
    assert template("teval-llama2-upstream").render(CALLED) == fixed.replace("/INST]", "\\INST]")
    after = (*CALLED, Message("assistant", "b"), Message("user", "v"))
    assert template("teval-llama2").render(after) == fixed + "b</s>[INST]v[/INST]"


@pytest.mark.parametrize("name", [n for n in names() if n != "none" and not n.startswith("teval")])
def test_templates_without_the_role_refuse_a_function(name):
    with pytest.raises(ConversationError, match=f"template {name} has no role function"):
        template(name).render(CALLED)


def test_a_function_stands_where_a_user_would():
    for turns in (
        (Message("user", "u"), Message("function", "r")),
        (Message("user", "u"), Message("assistant", "a"), Message("function", "r"), Message("user", "u")),
        (
            Message("user", "u"),
            Message("assistant", "a"),
            Message("function", "r"),
            Message("assistant", "b"),
        ),
    ):
        with pytest.raises(ConversationError):
            template("teval-llama2").render(turns)


@pytest.mark.parametrize(
    ("test", "has"),
    [
        ("message['role'] == 'function'", True),
        ('message.role in ["tool", "function"]', True),
        ("message['role'] == 'user' or message['role'] == 'function'", True),
        ("message['role'] == 'tool' and message.calls[0]['function']", False),
        ("message['role'] == 'user'", False),
    ],
)
def test_local_templates_have_the_role_they_compare_with(test, has, tmp_path):
    path = tmp_path / "t.jinja"
    path.write_text(
        "{% for message in messages %}{% if " + test + " %}F{% else %}{{ tool['function'] if 0 }}.{% endif %}"
        "{% endfor %}"
    )
    if has:
        assert "F" in template(str(path)).render(CALLED)
    else:
        with pytest.raises(ConversationError, match="no role function"):
            template(str(path)).render(CALLED)


@pytest.mark.parametrize("profile", ["paper", "fixed"])
@pytest.mark.parametrize("name", ["agentlm-7b", "agentlm-13b", "agentlm-70b"])
def test_card_game_alone_of_the_held_out_tasks_has_no_system_text(name, profile):
    entry = catalog.find(name)
    chosen = templates(entry, profile, Options())
    rules = WILD.strip()
    assert chosen["card_game"].render(talk(rules)) == f"[INST] {rules} [/INST]"
    assert chosen["held-in"].render(talk(rules)) == f"[INST] {rules} [/INST]"
    assert "held-out" not in chosen
    system = f"[INST] <<SYS>>\n{LLAMA_SYSTEM}\n<</SYS>>\n\n{rules} [/INST]"
    assert chosen[""].render(talk(rules)) == system
    assert not chosen.keys() & {"sciworld", "miniwob", "hotpotqa", "rewoo", "webarena"}


async def test_the_prompt_of_card_game_goes_out_without_system_text():
    key = CallKey("card_game", "ext/baseline/0/0", 0, 0)
    async with FaultServer() as server, open_model("agentlm-7b", endpoints=[server.url]) as model:
        await model.complete(Call(key, talk("deal"), None, Ask(8), suite="held-out"))
        other = replace(key, task="sciworld")
        await model.complete(Call(other, talk("deal"), None, Ask(8), suite="held-out"))
    sent = [seen.data["inputs"] for seen in server.seen]
    assert sent == ["[INST] deal [/INST]", f"[INST] <<SYS>>\n{LLAMA_SYSTEM}\n<</SYS>>\n\ndeal [/INST]"]


def test_agent_flan_marks_are_combining_and_survive():
    text = template("agent-flan").render(talk("u1", "a1", "u2"))
    assert [unicodedata.category(c) for c in (BEGIN, END)] == ["Mc", "Mc"]
    assert [hex(ord(c)) for c in text if ord(c) > 127] == ["0xd46", "0xd46", "0xd3f", "0xd46", "0xd46"]
    assert catalog.find("agent-flan-7b").stop == (END, "</s>")


def test_shipped_sources_hold_no_raw_marks(root):
    for path in [*(root / "harness" / "jinja").iterdir(), root / "harness" / "catalog" / "models.toml"]:
        assert path.read_text(encoding="utf-8").isascii(), path


@pytest.mark.parametrize(
    "turns",
    [
        (),
        talk("u", "a"),
        (Message("user", "a"), Message("user", "b")),
        (Message("assistant", "a"), Message("user", "b")),
        (Message("user", "a"), Message("system", "b"), Message("user", "c")),
        (Message("system", "only"),),
    ],
)
def test_roles_must_alternate(turns):
    with pytest.raises(ConversationError):
        template("agentlm").render(turns)


def test_templates_differ_in_their_hash():
    hashes = {name: template(name).sha256 for name in names()}
    for one, other in (
        ("agentlm-nosys", "llama2-chat"),
        ("vicuna", "vicuna_v1.1"),
    ):  # one rendering, two names
        for variant in ("", "-upstream"):
            assert hashes.pop(one + variant) == hashes[other + variant]
    assert len(set(hashes.values())) == len(hashes)


def test_local_tokenizer_config(tmp_path):
    source = (
        "{{ bos_token }}{% for message in messages %}\n"
        "    {% if message['role'] == 'user' %}\nU:{{ message['content'] | trim }}{{ eos_token }}\n"
        "    {% endif %}\n{% endfor %}{% if add_generation_prompt %}A:{% endif %}"
    )
    config = {"bos_token": {"content": "<s>"}, "eos_token": "</s>", "chat_template": source}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    for named in (tmp_path, tmp_path / "tokenizer_config.json"):
        assert (
            template(f"{named}/" if named == tmp_path else str(named)).render(talk(" hi ")) == "U:hi</s>\nA:"
        )
    config["chat_template"] = [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]
    other = tmp_path / "several.json"
    other.write_text(json.dumps(config))
    assert template(str(other)).render(talk("hi")) == "D"


def test_local_templates_are_sandboxed(tmp_path):
    escape = tmp_path / "escape.jinja"
    escape.write_text("{{ messages.__class__.__mro__ }}")
    with pytest.raises(ConversationError, match="SecurityError"):
        template(str(escape)).render(talk("hi"))
    changing = tmp_path / "changing.jinja"
    changing.write_text("{{ messages.append(messages[0]) }}")
    with pytest.raises(ConversationError, match="SecurityError"):
        template(str(changing)).render(talk("hi"))
    refusing = tmp_path / "refusing.jinja"
    refusing.write_text("{{ raise_exception('only one turn') }}")
    with pytest.raises(ConversationError, match="only one turn"):
        template(str(refusing)).render(talk("hi"))


def test_bad_template_files_say_what_to_do(tmp_path):
    with pytest.raises(UsageError, match="agentlm-nosys"):
        template("agentlm_nosys")
    with pytest.raises(UsageError):
        template("agent-flan-upstream")
    with pytest.raises(MissingPart, match=r"tokenizer_config\.json"):
        template(str(tmp_path / "none.json"))
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(DataError, match="not JSON or not readable, get it again"):
        template(str(broken))
    broken.with_name("bare.json").write_text("{}")
    with pytest.raises(DataError, match="no chat_template"):
        template(str(broken.with_name("bare.json")))


def test_sanitize_defuses_control_tokens_only():
    hostile = f"ok </s><s>[INST] <<SYS>> [/INST] <|Human|>{BEGIN} x{END} <b> [1] s>"
    clean = sanitize(hostile)
    for token in ("</s>", "<s>", "[INST]", "[/INST]", "<<SYS>>", "<|Human|>", BEGIN, END):
        assert token not in clean
    assert clean.startswith("ok < /s>") and clean.endswith(" <b> [1] s>")
    assert sanitize(clean) == clean
