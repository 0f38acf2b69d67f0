"""One attempt as a page shows it: turn by turn, each with what was new, the reply and what came of it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from harness.errors import UsageError
from harness.models import outside
from harness.models.clients.request import parameters
from harness.storage import transcript
from harness.storage.codec import shared_prefix
from harness.storage.records import CallRecord, Turn
from harness.types import Ask, Message
from harness.view.run_view import RunView
from harness.view.texts import Room, remark

MESSAGE, REPLY, LOG = 6_000, 20_000, 4_000
"""Characters shown at first of a message, of a reply and of a log."""
MESSAGES = 80
"""Messages of one turn that are shown; of tasks with many examples these are the newest."""
PIECE = 500_000
"""Characters of one answer of `part`."""
KEY = 200


class EpisodeView:
    """One stored attempt with all its calls.

    Args:
        run: the run's open store.
        id: the attempt's.

    Raises:
        UsageError: there is no such attempt.
    """

    def __init__(self, run: RunView, id: int) -> None:
        self.id = id
        self.facts = run.attempt(id)
        self.private = self.facts["task"] in run.private
        self.calls = run.all_calls(id)
        self._view = run.views.get(self.facts["task"], ())
        self._run, self._last = run, run.last(id)
        self._room = Room(private=self.private)
        self.document = self._document()
        """The whole attempt within the bounds of one page; longer texts carry the place of the rest."""

    @property
    def texts(self) -> list[str]:
        """The texts that the document cuts, by their places."""
        return self._room.whole

    def _document(self) -> dict[str, Any]:
        room, facts = self._room, self.facts
        return {
            **facts,
            "sample": facts["sample"],
            "note": {"text": remark(facts["note"])[:LOG]} if self.private else room.cut(facts["note"], LOG),
            "error": room.cut(outside.message(facts["error"]), LOG),
            "answer": room.cut(facts["answer"], LOG),
            "target": room.cut(facts["target"], LOG),
            "private": self.private,
            "attempts": self._run.attempts_of(facts),
            "steps": [self._step(call, before) for call, before in self._in_order()],
            "last": self._after(),
            "judged": self._judged(),
        }

    def _in_order(self) -> Iterator[tuple[CallRecord, CallRecord | None]]:
        """Every call as it was made, with the one before it in its role."""
        before: dict[str, CallRecord] = {}
        for call in self.calls:
            yield call, before.get(call.role)
            before[call.role] = call

    def _step(self, call: CallRecord, before: CallRecord | None) -> dict[str, Any]:
        room = self._room
        step: dict[str, Any] = {
            "role": call.role[:KEY],
            "n": call.n,
            "key": call.key[:KEY],
            "reply": room.cut(call.reply, REPLY),
            "facts": {name: _exact(value) for name, value in call.facts.items()},
            "info": room.log(call.info, self._view, LOG),
            "prompt": room.cut(call.prompt, 0),
        }
        if call.turn is not None:
            return step | self._turn(call.turn)
        shared = shared_prefix(before.prompt, call.prompt) if before else 0
        return step | {"added": room.cut(call.prompt[shared:], MESSAGE)}

    def _turn(self, turn: Turn) -> dict[str, Any]:
        room = self._room
        found: dict[str, Any] = {
            "messages": [self._message(message) for message in turn.messages[-MESSAGES:]],
            "left_out": max(0, len(turn.messages) - MESSAGES),
            "fresh": turn.fresh,
            "window": turn.kept is not None,
        }
        if turn.said is not None:
            found["said"] = room.cut(turn.said, MESSAGE)
        if turn.raw is not None:
            found["raw"] = room.cut(turn.raw, MESSAGE)
        if turn.ask is not None:
            told = {name: value for name, value in asdict(turn.ask).items() if value not in (None, "", ())}
            hide = ("prefix", "choices") if self.private else ()
            found["ask"] = {name: value for name, value in told.items() if name not in hide}
        return found

    def _message(self, message: Message) -> dict[str, Any]:
        return {"role": message.role, "pin": message.pin, **self._room.cut(message.content, MESSAGE)}

    def _after(self) -> dict[str, Any] | None:
        """What the environment showed after the last reply."""
        if self._last is None:
            return None
        return self._turn(self._last) | {"info": self._room.log(self._last.info, self._view, LOG)}

    def _judged(self) -> list[dict[str, Any]]:
        """What the judges were asked about this attempt and said."""
        items = {item.key: item.messages for item in self._run.asked_of_judge(self.id)}
        verdicts = self._run.all_verdicts(self.id)
        return [
            {
                "key": key[:KEY],
                "messages": [self._message(message) for message in items.get(key, ())],
                "verdicts": [
                    {"judge": judge[:KEY], "k": k, **self._room.cut(text, REPLY)}
                    for own, judge, k, text in verdicts
                    if own == key
                ],
            }
            for key in dict.fromkeys([*items, *(row[0] for row in verdicts)])
        ]

    def part(self, place: int, start: int) -> dict[str, Any]:
        """A piece of a text that was cut, by its place in the document, from a character on.

        Raises:
            UsageError: nothing was cut there.
        """
        if not 0 <= place < len(self._room.whole):
            raise UsageError(f"attempt {self.id} has no text {place}")
        text, start = self._room.whole[place], max(0, start)
        piece = text[start : start + PIECE]
        end = start + len(piece)
        return {"text": piece, "total": len(text), "next": end if end < len(text) else None}

    def dropped(self, n: int) -> dict[str, Any]:
        """What the history policy left out of the prompt of a call, and what it rewrote in it.

        Raises:
            UsageError: there is no such call.
        """
        call, room = self._call(n), Room(private=self.private)
        if call.turn is None or call.turn.kept is None:
            return {"dropped": [], "rewritten": []}
        _, turn, messages = next(found for found in transcript.conversations(self.calls) if found[0] is call)
        kept = {index for start, end in turn.kept or () for index in range(start, end)}
        rewritten = {index for index, _, _ in turn.changed} & kept

        def told(wanted: set[int]) -> list[dict[str, Any]]:
            return [
                {"index": index, "role": message.role, **room.cut(message.content, MESSAGE)}
                for index, message in enumerate(messages)
                if index in wanted
            ]

        return {"dropped": told({*range(len(messages))} - kept), "rewritten": told(rewritten)}

    def _call(self, n: int) -> CallRecord:
        found = next((call for call in self.calls if not call.role and call.n == n), None)
        if found is None:
            raise UsageError(f"attempt {self.id} has no call {n}")
        return found

    def replay_line(self) -> str:
        """The attempt as a line of a file for `--model replay:FILE`.

        Raises:
            UsageError: the task's texts are private.
        """
        self._refuse_private()
        replies = [call.reply for call in self.calls if not call.role]
        return json.dumps({"task": self.facts["task"], "sample": self.facts["sample"], "replies": replies})

    def curl(self, n: int) -> str:
        """A shell command that sends a call once more to the endpoint that answered it.

        Raises:
            UsageError: there is no such call, or the task's texts are private.
        """
        self._refuse_private()
        call = self._call(n)
        ask = call.turn.ask if call.turn is not None and call.turn.ask is not None else Ask(512)
        sent = parameters(ask, seed=call.facts.get("seed"))
        where = outside.message(str(call.facts.get("endpoint") or "http://127.0.0.1:8080").rstrip("/"))
        body = json.dumps({"inputs": call.prompt, "parameters": sent})
        return shlex.join(["curl", f"{where}/generate", "-H", "Content-Type: application/json", "-d", body])

    def _refuse_private(self) -> None:
        if self.private:
            raise UsageError(f"{self.facts['task']}: the texts of this task are not to be spread")


def _exact(value: Any) -> Any:
    """A number of a script has 53 bits: longer ones (seeds) are written out."""
    return str(value) if isinstance(value, int) and abs(value) >= 1 << 53 else value
