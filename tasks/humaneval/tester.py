"""Runs inside the sandbox: one process holds the tests, another, of another user, the reply's code.

The two share nothing but two pipes. The code's process answers calls with values written as JSON, and the
tests see new objects of Python's own types made from them: no object, frame or file of the tests is within
the code's reach. This file is passed to the interpreter as text, so it imports the standard library only.
"""

from __future__ import annotations

import builtins
import json
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

TESTS_USER, CODE_USER = 65533, 65534
_FRAME = 1 << 24
_PR_SET_DUMPABLE = 4
_BROKEN = 3  # exit status: the code's process broke the protocol, or is gone
NO_PROCESS = 4
"""Exit status: no process could be made for the code, of which nothing has run yet."""


def encode(value: Any) -> Any:
    """A value as JSON; subclasses become the type they are built on.

    Raises:
        TypeError: it is, or holds, an object of no such type.
    """
    if value is None or value is True or value is False or isinstance(value, str):
        return value
    if isinstance(value, list):
        return [encode(entry) for entry in value]
    if isinstance(value, int):
        return {"int": hex(value)}
    if isinstance(value, float):
        return {"float": float.hex(value)}
    if isinstance(value, complex):
        return {"complex": [float.hex(value.real), float.hex(value.imag)]}
    if isinstance(value, dict):
        return {"dict": [[encode(key), encode(entry)] for key, entry in value.items()]}
    if isinstance(value, range):
        return {"range": [encode(part) for part in (value.start, value.stop, value.step)]}
    for kind, name in ((bytes, "bytes"), (bytearray, "bytearray")):
        if isinstance(value, kind):
            return {name: value.hex()}
    for kind, name in _GROUPS:
        if isinstance(value, kind):
            return {name: [encode(entry) for entry in value]}
    raise TypeError(f"a {type(value).__name__} cannot be handed to the tests")


_GROUPS: tuple[tuple[type, str], ...] = (
    (tuple, "tuple"),
    (set, "set"),
    (frozenset, "frozenset"),
    (type({}.keys()), "set"),
)
_MADE: dict[str, Callable[[Any], Any]] = {
    "int": lambda text: int(text, 16),
    "float": float.fromhex,
    "complex": lambda parts: complex(*map(float.fromhex, parts)),
    "dict": lambda pairs: {decode(key): decode(entry) for key, entry in pairs},
    "range": lambda parts: range(*map(decode, parts)),
    "bytes": bytes.fromhex,
    "bytearray": bytearray.fromhex,
    "tuple": lambda entries: tuple(map(decode, entries)),
    "set": lambda entries: set(map(decode, entries)),
    "frozenset": lambda entries: frozenset(map(decode, entries)),
}


def decode(data: Any) -> Any:
    """The value written by `encode`: exactly of one of Python's own types.

    Raises:
        Exception: of any kind; it was not written so.
    """
    if data is None or type(data) in (bool, str):
        return data
    if type(data) is list:
        return [decode(entry) for entry in data]
    ((name, content),) = data.items()
    return _MADE[name](content)


class Channel:
    """Whole messages over a pair of pipes."""

    def __init__(self, source: int, sink: int) -> None:
        self._source = source
        self._sink = sink

    def send(self, message: Any) -> None:
        """Write one message."""
        data = json.dumps(message).encode()
        data = len(data).to_bytes(4, "big") + data
        while data:
            data = data[os.write(self._sink, data) :]

    def receive(self) -> Any:
        """Read one message.

        Raises:
            ValueError: it is too long, or no JSON.
            EOFError: the other end was closed.
        """
        size = int.from_bytes(self._read(4), "big")
        if size > _FRAME:
            raise ValueError("the message is too long")
        return json.loads(self._read(size))

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            more = os.read(self._source, min(size - len(data), 1 << 20))
            if not more:
                raise EOFError
            data += more
        return bytes(data)


# --- the process of the reply's code ----------------------------------------------------------------


def serve(channel: Channel) -> None:
    """Load the code, then answer calls of its function until the tests are over."""
    code, name = channel.receive()
    namespace: dict[str, Any] = {}
    exec(compile(code, "program.py", "exec"), namespace)
    function = namespace[name]
    channel.send("loaded")
    while True:
        channel.send(_answer(function, channel.receive()))


def _answer(function: Callable[..., Any], call: Any) -> Any:
    args, named = (decode(part) for part in call)
    try:
        value = encode(function(*args, **named))
        after = [encode(args), encode(named)]
    except Exception as error:
        names = (kind.__name__ for kind in type(error).__mro__ if kind in vars(builtins).values())
        return {"error": next(names), "text": str(error)}
    return {"value": value, "after": None if after == call else after}


# --- the process of the tests -----------------------------------------------------------------------


class Candidate:
    """Takes the place of the reply's function in the tests; a call is made in the other process."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def __call__(self, *args: Any, **named: Any) -> Any:
        listed = list(args)
        try:
            self._channel.send([encode(listed), encode(named)])
            answer = self._channel.receive()
            if "error" in answer:
                failure = _exception(answer["error"], answer["text"])
                value = None
            else:
                failure, value = None, decode(answer["value"])
                if answer["after"] is not None:
                    _follow([listed, named], [decode(part) for part in answer["after"]])
        except Exception:  # a test that expects an error must not take this one for it
            os._exit(_BROKEN)
        if failure is not None:
            raise failure
        return value


def _exception(name: str, text: str) -> Exception:
    kind = getattr(builtins, name)
    if not issubclass(kind, Exception):
        raise TypeError(f"{name} is no error")
    try:
        return kind(str(text))
    except TypeError:  # UnicodeError's kinds need more than a text
        return ValueError(str(text)) if issubclass(kind, ValueError) else Exception(str(text))


def _follow(old: Any, new: Any) -> None:
    """Change arguments in place as the call changed its copies of them."""
    if type(old) is not type(new):
        return
    if isinstance(old, list) and len(old) == len(new):
        for place, entry in enumerate(new):
            if type(entry) in (list, dict, set, bytearray) and type(old[place]) is type(entry):
                _follow(old[place], entry)
            else:
                old[place] = entry
    elif isinstance(old, (list, bytearray)):
        old[:] = new
    elif isinstance(old, dict):
        kept = {key: old[key] for key in new if key in old and type(old[key]) is type(new[key])}
        old.clear()
        for key, entry in new.items():
            held = kept.get(key)
            if isinstance(held, (list, dict, set, bytearray)):
                _follow(held, entry)
                entry = held
            old[key] = entry
    elif isinstance(old, set):
        old.clear()
        old.update(new)


def test(channel: Channel, output: int) -> None:
    """Read the tests, apply them, and say the secret word when all have passed."""
    request = json.load(sys.stdin.buffer)
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 (for good)
    channel.send([request["code"], request["entry_point"]])
    if channel.receive() != "loaded":
        os._exit(_BROKEN)
    candidate = Candidate(channel)
    namespace: dict[str, Any] = {}
    # The prompt is a whole function: its imports and helpers are the tests' own.
    exec(compile(request["prompt"], "prompt.py", "exec"), namespace)
    namespace[request["entry_point"]] = candidate  # some tests call it by its name
    exec(compile(request["tests"], "tests.py", "exec"), namespace)
    namespace["check"](candidate)
    os.write(output, request["secret"].encode())


def _become(user: int) -> None:
    """Take a user of its own. Where the sandbox has only one, hide this process from those of the same."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    elif user == TESTS_USER:
        import ctypes

        if ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
            os._exit(_BROKEN)


def main() -> NoReturn:
    """Split into the two processes before anything of the problem is read."""
    calls, answers = os.pipe(), os.pipe()
    try:
        child = os.fork()
    except OSError:
        os._exit(NO_PROCESS)
    try:
        if child == 0:
            null = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(null, fd)
            os.close(calls[1])
            os.close(answers[0])
            _become(CODE_USER)
            serve(Channel(calls[0], answers[1]))
        else:
            os.close(calls[0])
            os.close(answers[1])
            _become(TESTS_USER)
            test(Channel(answers[0], calls[1]), 1)
            os._exit(0)
    finally:
        os._exit(1)


if __name__ == "__main__":
    main()
