"""History policies against plain restatements, with properties that hold for every conversation."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import history, tokens
from harness.errors import UsageError
from harness.types import Message

WORDS = st.lists(
    st.sampled_from(["go", "to", "the", "art", "studio", "substance", "(open)", "42"]), max_size=30
)
CONTENT = WORDS.map(" ".join)
EDGES = st.sampled_from(["", "", " ", "\n", "\n\n", "\t"])
NOTICE = ("\n\n(", " gone.)")
SAID = CONTENT.filter(bool)


def render(messages: Sequence[Message]) -> str:
    """Llama-2's turns, with the answer's opening at the end."""
    text = ""
    for message in messages:
        if message.role == "system":
            text += f"[INST] <<SYS>>\n{message.content}\n<</SYS>>\n\n"
        elif message.role == "assistant":
            text += f"[/INST] {message.content} </s><s>"
        else:
            text += f"[INST] {message.content} "
    return text + "[/INST]"


def talk(contents: Sequence[str]) -> list[Message]:
    return [Message("user" if i % 2 == 0 else "assistant", text) for i, text in enumerate(contents)]


@st.composite
def dialogues(draw: st.DrawFn) -> list[Message]:
    """First message, then answer and observation in turn, some with white space around them."""
    turns = draw(st.integers(0, 25))
    return talk([draw(EDGES) + draw(CONTENT) + draw(EDGES) for _ in range(2 * turns + 1)])


@st.composite
def exemplified(draw: st.DrawFn) -> list[Message]:
    """System, instruction, acknowledgement, exemplar pairs, task, and the turns so far."""
    head = [Message("system", draw(CONTENT)), *talk([draw(CONTENT), draw(CONTENT)])]
    shots = [
        Message(m.role, m.content, "shot")
        for m in talk([draw(CONTENT) for _ in range(2 * draw(st.integers(0, 12)))])
    ]
    task = Message("user", draw(SAID), "task")
    live = [
        Message("assistant" if i % 2 == 0 else "user", draw(SAID))
        for i in range(2 * draw(st.integers(0, 12)))
    ]
    return [*head, *shots, task, *live]


# -- segments


def window_by_hand(messages: list[Message], limit: int) -> list[tuple[str, str]]:
    count = tokens.counter("segments")
    total, kept = count(messages[0].content), []
    for message in reversed(messages[1:]):
        total += count(message.content)
        if total >= limit:
            break
        kept.insert(0, message)
    if kept and kept[0].role == "user":
        kept.pop(0)
    omitted = len(messages) - 1 - len(kept)
    notice = f"\n\n({omitted} gone.)" if omitted else ""
    return [(messages[0].role, messages[0].content + notice), *((m.role, m.content) for m in kept)]


@given(dialogues(), st.integers(1, 400))
def test_the_window_equals_a_walk_from_the_end(messages: list[Message], limit: int) -> None:
    by_hand = window_by_hand(messages, limit)
    assert seen(f"segments-{limit}-verbatim", messages) == by_hand
    assert seen(f"segments-{limit}", messages) == [(role, text.strip()) for role, text in by_hand]


def seen(name: str, messages: Sequence[Message]) -> list[tuple[str, str]]:
    policy, counter = history.policy(name, NOTICE)
    return [(m.role, m.content) for m in policy(messages, render, tokens.counter(counter))]


@given(dialogues(), st.integers(1, 400))
def test_the_window_keeps_head_and_alternation(messages: list[Message], limit: int) -> None:
    policy, counter = history.policy(f"segments-{limit}")
    messages = [Message(m.role, m.content.strip()) for m in messages]
    shown = policy(messages, render, tokens.counter(counter))
    assert shown[0].content.startswith(messages[0].content)
    assert [m.role for m in shown] == ["user" if i % 2 == 0 else "assistant" for i in range(len(shown))]
    if len(shown) > 1:
        assert shown[-1] == messages[-1]


def test_a_known_window() -> None:
    texts = ["\none two\n\n", "three", "four five six", "seven ", "eight nine ten"]
    messages = talk(texts)
    # The notice stands behind the head as it was said; what stands around the whole goes.
    assert seen("segments-10", messages) == [
        ("user", "one two\n\n\n\n(2 gone.)"),
        ("assistant", "seven"),
        ("user", "eight nine ten"),
    ]
    assert seen("segments-10-verbatim", messages) == [
        ("user", "\none two\n\n\n\n(2 gone.)"),
        ("assistant", "seven "),
        ("user", "eight nine ten"),
    ]
    assert messages == talk(texts)


def test_a_notice_is_stripped_with_the_head_it_stands_behind() -> None:
    policy, counter = history.policy("segments-3", ("  ", " out \n"))
    shown = policy(talk([" a ", "b c d", "e"]), render, tokens.counter(counter))
    assert [m.content for m in shown] == ["a   2 out"]


def test_without_a_notice_the_head_only_loses_its_edges() -> None:
    policy, counter = history.policy("segments-3")
    shown = policy(talk([" a ", "b c d", "e"]), render, tokens.counter(counter))
    assert [m.content for m in shown] == ["a"]


@given(dialogues(), st.integers(0, 3))
def test_where_nothing_is_left_out_the_conversation_is_shown_as_it_is(
    messages: list[Message], more: int
) -> None:
    limit = sum(tokens.segments(message.content) for message in messages) + 1 + more
    assert seen(f"segments-{limit}-verbatim", messages) == [(m.role, m.content) for m in messages]
    policy, counter = history.policy(f"segments-{limit}", NOTICE)
    plain = [Message(m.role, m.content.strip(), m.pin) for m in messages]
    shown = list(policy(plain, render, tokens.counter(counter)))
    assert all(one is other for one, other in zip(shown, plain, strict=True))


def test_a_functions_turn_never_leads_after_a_cut() -> None:
    messages = [
        *talk(["one", "two three four"]),
        Message("function", "five"),
        Message("assistant", "six"),
        Message("function", "seven"),
    ]
    # Up to the fifth word all fits, so the kept part would begin with the first function's turn.
    assert seen("segments-5", messages) == [
        ("user", "one\n\n(2 gone.)"),
        ("assistant", "six"),
        ("function", "seven"),
    ]


# -- pairs


def pairs_by_hand(messages: list[Message], limit: int, count: history.Count) -> list[Message]:
    """Upstream's loop as the specification states it: delete, look again, over and over."""
    system, rest = messages[:1], list(messages[1:])
    before_answer = len("[/INST]")
    while count(render(system + rest)[:-before_answer]) > limit:
        task = next(i for i, m in enumerate(rest) if m.pin == "task")
        if task == 4:  # one exemplar pair is all there is (never upstream): it goes
            del rest[2:4]
            continue
        if task == 2 and len(rest) < 7:  # nothing but the first answer and the newest observation is left
            break
        del rest[4:6]
        if rest[4].pin == "task":
            del rest[2:4]
    return system + rest


@settings(deadline=None)
@given(exemplified(), st.integers(1, 1500))
def test_pairs_equal_the_loop_that_deletes_one_at_a_time(messages: list[Message], limit: int) -> None:
    policy, _ = history.policy(f"pairs-{limit}-estimate")
    count = tokens.counter("estimate")
    assert list(policy(messages, render, count)) == pairs_by_hand(messages, limit, count)


@settings(deadline=None)
@given(exemplified(), st.integers(1, 1500))
def test_pairs_keep_task_newest_and_alternation(messages: list[Message], limit: int) -> None:
    policy, counter = history.policy(f"pairs-{limit}-estimate")
    shown = list(policy(messages, render, tokens.counter(counter)))
    assert shown[:3] == messages[:3]
    assert shown[-1] == messages[-1]
    assert [m for m in shown if m.pin == "task"] == [m for m in messages if m.pin == "task"]
    roles = [m.role for m in shown[1:]]
    assert roles == ["user" if i % 2 == 0 else "assistant" for i in range(len(roles))]


def test_pairs_render_a_long_conversation_a_few_times_only() -> None:
    shots = [Message("user" if i % 2 == 0 else "assistant", "word " * 20, "shot") for i in range(376)]
    messages = [*talk(["instruction", "Ok."]), *shots, Message("user", "task", "task")]
    rendered: list[int] = []

    def counted(shown: Sequence[Message]) -> str:
        rendered.append(len(shown))
        return render(shown)

    policy, _ = history.policy("pairs-2000-estimate")
    policy(messages, counted, tokens.estimate)
    assert len(rendered) <= 12


def test_without_a_task_nothing_is_dropped() -> None:
    policy, _ = history.policy("pairs-1-estimate")
    messages = talk(["a" * 100, "b", "c"])
    assert list(policy(messages, render, tokens.estimate)) == messages


# -- names


def test_names_of_policies() -> None:
    assert history.policy("none")[1] == "estimate"
    assert history.policy("segments-3500")[1] == "segments"
    assert history.policy("segments-3500-verbatim")[1] == "segments"
    assert history.takes_notice("segments-3500") and not history.takes_notice("pairs-4036")
    assert history.policy("pairs-4036")[1] == "cl100k"
    assert history.policy("pairs-3840-estimate")[1] == "estimate"


@given(dialogues())
def test_none_shows_everything(messages: list[Message]) -> None:
    assert history.policy("none")[0](messages, render, tokens.estimate) == messages


@pytest.mark.parametrize("name", ["", "segments", "segments-0", "segments-10-cl100k", "pairs--1", "all"])
def test_unknown_policies_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="choose none, segments-LIMIT"):
        history.policy(name)
