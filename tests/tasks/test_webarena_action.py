"""WebArena's grammar form by form, the lines on actions, the addresses, and the prompt as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.catalog import models
from harness.data import literals
from harness.errors import DataError
from harness.templates import template
from harness.tokens import CL100K_FILE, cl100k_head
from tasks.webarena import config
from tasks.webarena.action import ArenaAction, parse, repeated
from tasks.webarena.helpers import parse_call, post_url
from tasks.webarena.prepare import KEPT
from tasks.webarena.prompts import ADDRESSES, Shown, WebArenaPrompts
from tasks.webarena.sites import SITES, SiteMap

NONE = ArenaAction()
REAL = {name: f"http://127.0.0.1:{9000 + n}" for n, name in enumerate(SITES)}
REAL["shopping_admin"] += "/admin"


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("```click [12]```", ArenaAction("click", "12")),
        ("```click[12] the button```", ArenaAction("click", "12")),
        ("```Click [12]```", NONE),
        ("```click [a]```", NONE),
        ("```click\n[12]```", NONE),
        ("text ```hover [3]``` and ```stop [x]```", ArenaAction("hover", "3")),
        ("```type [1] [two [words]] [0]```", ArenaAction("type", "1", "two [words]")),
        ("```type [1] [text]```", ArenaAction("type", "1", "text\n")),
        ("```type [1] [text] [1]```", ArenaAction("type", "1", "text\n")),
        ("```type [1] [text] [2]```", ArenaAction("type", "1", "text] [2\n")),
        ("```type [1] [x] [press_enter_after=0]```", ArenaAction("type", "1", "x] [press_enter_after=0\n")),
        ("```type [1] [][1]```", NONE),
        ("```type [1]```", NONE),
        ("```type [1] [a] [0] [b] [1]```", ArenaAction("type", "1", "a] [0] [b\n")),
        ("```press [Ctrl+v]```", ArenaAction("press", text="Ctrl+v")),
        ("```press [ENTER]```", ArenaAction("press", text="Enter")),
        ("```press [shift+arrowdown]```", ArenaAction("press", text="Shift+ArrowDown")),
        ("```scroll [down]```", ArenaAction("scroll", text="down")),
        ("```scroll up```", ArenaAction("scroll", text="up")),
        ("```scroll [direction=down]```", NONE),
        ("```goto [reddit.com]```", ArenaAction("goto", text="reddit.com")),
        ("```tab_focus [1]```", ArenaAction("tab_focus", text="1")),
        ("```new_tab [x]```", ArenaAction("new_tab")),
        ("```go_back```", ArenaAction("go_back")),
        ("```stop```", ArenaAction("stop")),
        ("```stop []```", ArenaAction("stop")),
        ("```stop [a] b]```", ArenaAction("stop", text="a] b")),
        ("```note [x]```", NONE),
        ("stop [x]", NONE),
        ("``````", ArenaAction(crash="the block is empty")),
        ("```type [1] [don\u2019t] [0]```", ArenaAction("type", "1", "don\u2019t", "U+2019 cannot be typed")),
        ("```type [1] [é] [0]```", ArenaAction("type", "1", "é")),
    ],
)
def test_forms(text: str, action: ArenaAction) -> None:
    assert parse(text) == action


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("```\nclick [12]\n```", ArenaAction("click", "12")),
        ("``````", NONE),
        ("```scroll [direction=down]```", ArenaAction("scroll", text="down")),
        ("```type [1] [x] [press_enter_after=0]```", ArenaAction("type", "1", "x")),
        ("```press [Ctrl+v]```", ArenaAction("press", text="Control+v")),
        ("```type [1] [5 €] [0]```", ArenaAction("type", "1", "5 €")),
    ],
)
def test_lenient_forms(text: str, action: ArenaAction) -> None:
    assert parse(text, lenient=True) == action


def test_a_number_of_ten_thousand_digits_is_an_element_like_any_other() -> None:
    assert parse(f"```click [{'9' * 10_000}]```").verb == "click"


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (["x", "x"], None),
        (["x", "x", "x"], "unread"),
        (["```click [1]```"] * 3, "same"),
        (["```click [1]```", "```click [2]```", "```click [1]```"], None),
        (["```type [1] [a]```", "```click [2]```", "```type [1] [b]```", "x", "```type [1] [c]```"], "typed"),
        (["```type [1] [a]```", "```type [2] [a]```", "```type [3] [a]```"], None),
        (["```scroll [up]```", "```scroll [up]```", "```scroll [down]```"], None),
    ],
)
def test_repetitions(texts: list[str], why: str | None) -> None:
    assert repeated([parse(text) for text in texts], 3) == why


@pytest.mark.parametrize(
    ("real", "shown"),
    [
        ("http://127.0.0.1:9000/a?b=1", "http://onestopmarket.com/a?b=1"),
        ("http://127.0.0.1:9000", "http://onestopmarket.com"),
        ("http://127.0.0.1:90001/a", "http://127.0.0.1:90001/a"),
        ("http://127.0.0.1:9001/admin/x", "http://luma.com/admin/x"),
        ("http://127.0.0.1:9001/administrator", "http://127.0.0.1:9001/administrator"),
        ("http://127.0.0.1:9005/search?query=x", "http://openstreetmap.org/search?query=x"),
    ],
)
def test_addresses_are_replaced_by_origin(real: str, shown: str) -> None:
    sites = SiteMap(REAL)
    assert sites.shown(real) == shown
    assert sites.resolved(shown) == real
    assert sites.resolved(f"goto [{shown}]") == f"goto [{real}]"


def test_what_may_be_gone_to() -> None:
    sites = SiteMap(REAL)
    assert sites.permits("http://127.0.0.1:9000/x") and not sites.permits("http://127.0.0.1:22/")
    for url in (
        "data:text/html,x",
        "view-source:http://127.0.0.1:9000/",
        "file:///etc/passwd",
        "http://127.0.0.1:9000@evil.test/",
        "http://evil.test/",
        "chrome://gpu",
        "javascript:1",
        "http://[bad",
    ):
        assert not sites.permits(url), url
    assert sites.resolved("http://reddit.community/x") == "http://reddit.community/x"
    assert sites.resolved("https://reddit.com/f/x") == REAL["reddit"] + "/f/x"


def test_helpers_are_read_by_their_form() -> None:
    assert parse_call("func:reddit_get_post_url('__last_url__')") == (
        "reddit_get_post_url",
        ("__last_url__",),
    )
    found = parse_call("func:gitlab_get_project_memeber_role(__page__, 'a')")
    assert found == ("gitlab_get_project_memeber_role", ("__page__", "a"))
    for text in (
        "func:open('x')",
        "func:reddit_get_post_url(x)",
        "func:reddit_get_post_url()",
        "func:a(b(1))",
    ):
        with pytest.raises(DataError):
            parse_call(text)
    assert post_url("http://h/f/x/5/title/comment/9") == "http://h/f/x/5/"
    assert post_url("http://h/user/x") == "http://h/user/x"


@pytest.mark.parametrize("model", ["agentlm-7b", "llama-2-7b-chat"])
def test_a_prompt_is_what_the_released_code_sends(mirror: Path, model: str) -> None:
    """Assembled here from the literals, independently of the task's own code."""
    texts = literals(mirror / "webarena" / "prompts.json")
    found = {address.partition("eval_heldout/webarena/")[2]: value for address, value in texts.items()}
    prompt: dict[str, Any] = found["agent/prompts/raw/p_cot_id_actree_2s.py:prompt"]
    api = "agent/prompts/prompt_constructor.py:PromptConstructor.get_lm_api_input#"
    values = {
        "observation": "Tab 0 (current): x\n\n[1] link '{y}'",
        "url": "http://reddit.com",
        "objective": "Do.",
    }
    current = prompt["template"].format(**values, previous_action="None")
    wanted = f"[INST] <<SYS>>\n{found[api + '34']}\n<</SYS>>\n\n{prompt['intro'].strip()} [/INST] "
    wanted += f"{found[api + '37']} </s>"
    for question, answer in prompt["examples"]:
        wanted += f"<s>[INST] {question.strip()} [/INST] {answer.strip()} </s>"
    wanted += f"<s>[INST] {current.strip()} [/INST]"
    shown = Shown(values["observation"], values["url"], "None")
    messages = WebArenaPrompts(mirror / "webarena").messages("Do.", shown)
    entry = models.load()[model]
    assert template(entry.template).render(messages).removeprefix("<s>") == wanted


def test_every_text_is_there_in_mirror_and_fixture(mirror: Path) -> None:
    from tasks.webarena.world import FIXTURE

    for folder in (mirror / "webarena", FIXTURE):
        WebArenaPrompts(folder).check()
    assert len(set(ADDRESSES)) == len(ADDRESSES)
    assert list(literals(mirror / "webarena" / "prompts.json")) == list(KEPT), "prepare makes the pinned file"


def test_a_page_is_cut_at_a_token_even_inside_a_line(mirror: Path) -> None:
    vocabulary = mirror / "webarena" / CL100K_FILE
    text = "\n".join(f"[{n}] link 'Number {n} <|endoftext|>'" for n in range(900))
    cut = cl100k_head(text, 1920, vocabulary)
    assert text.startswith(cut) and 3000 < len(cut) < len(text)
    assert cl100k_head(cut, 1920, vocabulary) == cut
    assert cl100k_head(text, 1920, vocabulary) == cl100k_head(text[:9000], 1920, vocabulary)
    assert cl100k_head("short", 1920, vocabulary) == "short"
    assert len(cl100k_head("é" * 500_000, 10, vocabulary)) <= 30


def test_the_deployment_is_read_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SITES:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"WA_{name.upper()}", raising=False)
    path = tmp_path / "webarena.toml"
    monkeypatch.setenv(config.NAMED, str(path))
    with pytest.raises(DataError, match="cannot be read"):
        config.load()
    lines = [f'{name} = "{url}/"' for name, url in REAL.items()]
    path.write_text("\n".join(["[sites]", *lines]), encoding="utf-8")
    assert config.load().sites.real == REAL and config.load().unknown == ()
    path.write_text("\n".join(["[sites]", *lines[1:]]), encoding="utf-8")
    with pytest.raises(DataError, match="lacks shopping"):
        config.load()
    path.write_text("\n".join(["colour = 1", "[sites]", *lines]), encoding="utf-8")
    with pytest.raises(DataError, match="unknown key 'colour'"):
        config.load()
    monkeypatch.delenv(config.NAMED)
    monkeypatch.chdir(tmp_path / "..")
    monkeypatch.setenv("SHOPPING", "http://shop.test:7770/")
    assert config.load().sites.real == {"shopping": "http://shop.test:7770"}
    assert "gitlab" in config.load().unknown
    monkeypatch.setenv("GITLAB", "ftp://x")
    with pytest.raises(DataError, match="no http address"):
        config.load()
