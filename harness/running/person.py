"""A person in the place of the model under test: prompts are shown on the screen and replies are typed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from harness.errors import HarnessError, InfraError
from harness.models.api import Call, LiveEpisodes, Model
from harness.models.clients.answer import cut
from harness.types import Message, Observation, Reply

HELP = """Type the reply. A line that ends in \\ goes on in the next; a line of \"\"\" begins a reply of many
lines, another ends it. /prompt shows the prompt as a model gets it, /oracle the oracle's next reply, /info
what the environment logs, /help this; //... is a reply that begins with /. Ctrl-D ends the play."""

BLOCK = '"""'
MOST_CHARACTERS = 1 << 20
"""Of a reply of many lines; the loop keeps far fewer."""


class Left(InfraError):
    """The person ended the play."""


class Screen(Protocol):
    """Where a person reads and types."""

    def show(self, text: str) -> None:
        """Show a text from anywhere."""
        ...

    async def line(self, prompt: str) -> str:
        """The next line that is typed, without its end.

        Raises:
            Left: the person stopped playing.
        """
        ...


class Person:
    """Answers calls as a model does, with what is typed.

    Args:
        oracle: renders prompts, and answers when the person asks for the oracle's reply.
        live: where the loop leaves the observation that is to be answered.
        screen: where the person is.
        view: keys of what the environment logs that are shown first.
    """

    name = "person"

    def __init__(self, oracle: Model, live: LiveEpisodes, screen: Screen, view: Sequence[str] = ()) -> None:
        self._oracle, self._live, self._screen, self._view = oracle, live, screen, view
        self._raw = ""

    @property
    def info(self) -> Mapping[str, Any]:
        """As of the oracle."""
        return self._oracle.info

    def render(self, messages: Sequence[Message], suite: str = "", task: str = "") -> str:
        """Render the prompt as a model would get it."""
        return self._oracle.render(messages, suite, task)

    async def count(self, text: str) -> int | None:
        """Count tokens as the oracle's server does."""
        return await self._oracle.count(text)

    async def close(self) -> None:
        """Nothing to close."""

    async def complete(self, call: Call) -> Reply:
        """Show the prompt and read the reply.

        Raises:
            Left: the person ended the play.
        """
        key = call.key
        found = self._live.get(key.task, key.sample, key.repeat)
        observation = found.observation if found is not None and not call.role else Observation()
        self._screen.show(self._asked(call, observation))
        while True:
            text = await self._typed()
            if text.startswith("//"):
                text = text[1:]
            elif text.startswith("/"):
                self._screen.show(await self._told(text.strip(), call, observation))
                continue
            if (reply := _reply(text, call)) is not None:
                return reply
            self._screen.show(f"one of these, please: {'  '.join(call.ask.choices)}")

    def _asked(self, call: Call, observation: Observation) -> str:
        """What is new, without examples."""
        who = f"the role {call.role} ({call.part})" if call.role else f"turn {call.key.call + 1}"
        lines = [f"--- {who}"]
        if call.raw is not None:
            lines.append(call.raw.removeprefix(self._raw))
            self._raw = call.raw
        else:
            new = call.messages if call.role else observation.messages
            shots = sum(message.pin == "shot" for message in new)
            lines += [f"({shots} messages of examples: /prompt shows them)"] if shots else []
            lines += [f"{one.role}: {one.content}" for one in new if one.pin != "shot"]
        if call.ask.choices:
            lines.append(f"choose one of: {'  '.join(call.ask.choices)}")
        return "\n".join(lines)

    async def _typed(self) -> str:
        """A reply or a command; of a reply of several lines all of them."""
        line = await self._screen.line("> ")
        lines: list[str] = []
        if line.strip() != BLOCK:
            while line.endswith("\\"):
                lines.append(line[:-1])
                line = await self._screen.line("| ")
            return "\n".join([*lines, line])
        while (line := await self._screen.line("| ")).strip() != BLOCK:
            lines.append(line)
            if sum(map(len, lines)) > MOST_CHARACTERS:
                self._screen.show("that is more than any reply may have; begin again")
                return await self._typed()
        return "\n".join(lines)

    async def _told(self, command: str, call: Call, observation: Observation) -> str:
        if command == "/prompt":
            return (call.prompt or call.raw or self.render(call.messages, call.suite)) + call.ask.prefix
        if command == "/info":
            info = observation.info
            ordered = {key: info[key] for key in self._view if key in info} | dict(info)
            return json.dumps(ordered, indent=2, ensure_ascii=False, default=repr)
        if command == "/oracle":
            try:
                return (await self._oracle.complete(call)).text
            except HarnessError as error:
                return f"the oracle has no reply to this: {error}"
        return HELP if command == "/help" else f"no such command: {command}\n{HELP}"


def _reply(text: str, call: Call) -> Reply | None:
    """What was typed as a model's reply; None when it is none of the choices."""
    choices = call.ask.choices
    if not choices:
        text, stopped = cut(text, call.ask.stop)
        return Reply(text, finish_reason="stop_sequence" if stopped else "eos_token")
    wanted = text.strip().casefold()
    places = [n for n, choice in enumerate(choices) if choice.strip().casefold() == wanted]
    return Reply(choices[places[0]], choice=places[0], method="G") if places else None
