"""One attempt turn by turn: bounded texts, the window, roles, attempts, private tasks, copies."""

from __future__ import annotations

import json
import shlex
import shutil
from contextlib import closing
from dataclasses import replace

import pytest
from viewed_runs import HOSTILE, attempt, begun, hostile_run, viewed_run

from harness.errors import UsageError
from harness.report.load import FILE
from harness.storage.store import CallRecord, Turn
from harness.types import Ask, Message
from harness.view import texts
from harness.view.episode import PIECE, EpisodeView
from harness.view.run_view import RunView
from harness.view.texts import json_bytes


def opened(folder, id: int = 1) -> EpisodeView:
    run = RunView(folder / FILE)
    try:
        return EpisodeView(run, id)
    finally:
        run.close()


def whole(view: EpisodeView, cut: dict) -> str:
    if "place" not in cut:
        return cut["text"]
    text, start = "", 0
    while start is not None:
        piece = view.part(cut["place"], start)
        text, start = text + piece["text"], piece["next"]
    return text


def test_turns_attempts_answers_and_prompts(tmp_path):
    viewed_run(tmp_path)
    view = opened(tmp_path, 2)
    found = view.document
    assert [attempt["outcome"] for attempt in found["attempts"]] == ["infra_error", "scored"]
    assert (found["answer"]["text"], found["target"]["text"]) == ("answer 0", "target 0")
    first, second = found["steps"]
    assert [message["role"] for message in first["messages"]] == ["system", *["user"] * 5]
    assert [message["text"] for message in second["messages"]] == ["question 1 "]
    assert second["reply"]["text"] == "so it is 0 of 0"
    assert second["info"] == {"shown": [["step", {"text": "1"}], ["log", {"text": ""}]], "folded": []}
    assert whole(view, second["prompt"]) == view.calls[1].prompt
    assert second["facts"]["seed"] == str(2**61 + 1)  # a script's numbers would round it


def test_long_texts_are_cut_and_given_in_pieces(tmp_path):
    store = begun(tmp_path)
    long = "ab" * PIECE
    store.add(attempt(1, 1.0, long, "y" * 30_000))
    store.close()
    view = opened(tmp_path)
    reply = view.document["steps"][0]["reply"]
    assert (len(reply["text"]), reply["total"]) == (20_000, 2 * PIECE)
    assert whole(view, reply) == long
    with pytest.raises(UsageError, match="no text 9999"):
        view.part(9999, 0)


def test_a_page_stays_within_its_bound(tmp_path, monkeypatch):
    store = begun(tmp_path)
    store.add(attempt(1, 1.0, *["z" * 15_000] * 40))
    store.close()
    monkeypatch.setattr(texts, "PAGE_CHARACTERS", 100_000)
    view = opened(tmp_path)
    assert len(json.dumps(view.document)) < 200_000
    assert whole(view, view.document["steps"][39]["reply"]) == "z" * 15_000


def test_what_the_window_left_out_and_rewrote(tmp_path):
    store = begun(tmp_path)
    made = attempt(1, 1.0)
    old, new = Message("user", "the first question"), Message("user", "the second question")
    made.calls = [
        CallRecord(0, "first", "one", turn=Turn((old,), ask=Ask(8))),
        CallRecord(
            1, "second", "two", turn=Turn((new,), ask=Ask(8), kept=((1, 3),), changed=((2, 3, "..."),))
        ),
    ]
    store.add(made)
    store.close()
    view = opened(tmp_path)
    assert [step["window"] for step in view.document["steps"]] == [False, True]
    found = view.dropped(1)
    assert [message["text"] for message in found["dropped"]] == ["the first question"]
    assert [message["text"] for message in found["rewritten"]] == ["the second question"]
    assert view.dropped(0) == {"dropped": [], "rewritten": []}


def test_calls_of_roles_stand_where_they_were_made(tmp_path):
    store = begun(tmp_path)
    made = attempt(1, 1.0, "one", "two")
    made.calls.insert(1, CallRecord(0, "asked", "said", role="tool", key="look-up/0"))
    store.add(made)
    store.close()
    view = opened(tmp_path)
    steps = view.document["steps"]
    assert [(step["role"], step["n"]) for step in steps] == [("", 0), ("tool", 0), ("", 1)]
    assert (steps[1]["key"], steps[1]["added"]["text"]) == ("look-up/0", "asked")


def test_of_a_log_the_entries_that_the_task_names_come_first(tmp_path):
    store = begun(tmp_path)
    info = {"raw": "THOUGHT", "parsed": "go", "won": False, "executed": "go to desk 1"}
    made = attempt(1, 1.0)
    made.calls = [replace(made.calls[0], info=info)]
    store.set_meta("specs", {"alfworld": {}})
    made.task = "alfworld"
    store.add(made)
    store.close()
    log = opened(tmp_path).document["steps"][0]["info"]
    assert [name for name, _ in log["shown"]] == ["parsed", "executed", "won"]
    assert log["folded"] == [["raw", {"text": "THOUGHT"}]]
    assert log["shown"][2] == ["won", {"text": "false"}]


def test_the_judges_question_and_verdicts(tmp_path):
    viewed_run(tmp_path)
    with closing(RunView(tmp_path / FILE)) as run:
        id = run.find("mt_bench", "81")
    from harness.storage.store import Store

    store = Store(tmp_path / FILE)
    store.put_verdict(id, "turn-1", 0, "gpt-4", "hash", "Rating: [[7]]")
    store.close()
    (item,) = opened(tmp_path, id).document["judged"]
    assert item["messages"][0]["text"] == "is this a good poem?"
    assert [(verdict["judge"], verdict["text"]) for verdict in item["verdicts"]] == [
        ("gpt-4", "Rating: [[7]]")
    ]


def test_of_a_private_task_only_ids_and_letters_are_shown(tmp_path):
    viewed_run(tmp_path)
    with closing(RunView(tmp_path / FILE)) as run:
        id = run.find("mind2web", "a1/0")
    view = opened(tmp_path, id)
    assert view.document["private"]
    assert "SECRET" not in json.dumps([view.document, view.texts, view.dropped(0)])
    found = [view.document[name]["text"] for name in ("answer", "note")]
    assert (found, view.document["sample"]) == (["B", "element right"], "a1/0")
    assert view.document["steps"][0]["reply"]["text"].startswith("sha256:")
    for ask in (view.replay_line, lambda: view.curl(0)):
        with pytest.raises(UsageError, match="not to be spread"):
            ask()


def test_a_replay_line_and_a_curl_command(tmp_path):
    viewed_run(tmp_path)
    view = opened(tmp_path, 3)
    line = json.loads(view.replay_line())
    assert line == {"task": "garden", "sample": "s/001", "replies": ["I think 1", "so it is 1 of 0"]}
    words = shlex.split(view.curl(1))
    assert words[:2] == ["curl", "http://gpu:8080/generate"]
    body = json.loads(words[-1])
    assert body["inputs"] == view.calls[1].prompt
    assert body["parameters"]["seed"] == 2**61 + 1
    with pytest.raises(UsageError, match="no call 7"):
        view.curl(7)


def test_prompts_of_store_version_1_are_shown_as_sent(root, tmp_path):
    shutil.copytree(root / "tests/core/wave1", tmp_path / "old")
    view = opened(tmp_path / "old")
    step = view.document["steps"][0]
    assert "messages" not in step
    assert whole(view, step["added"]) == whole(view, step["prompt"]) == view.calls[0].prompt
    assert view.document["last"] is None


def test_half_characters_are_sent_as_escapes(tmp_path):
    hostile_run(tmp_path)
    view = opened(tmp_path, 2)
    sent = json_bytes(view.document).decode()
    assert json.loads(sent)["steps"][0]["reply"]["text"] == HOSTILE


def test_an_attempt_that_is_not_there(tmp_path):
    viewed_run(tmp_path, 1)
    with pytest.raises(UsageError, match="no attempt 77"):
        opened(tmp_path, 77)
