"""Cleans texts from outside: removes API keys, and characters that could steer a terminal."""

from __future__ import annotations

import re
import unicodedata
from typing import TypeVar
from urllib.parse import quote

B = TypeVar("B", bytes, bytearray)

KEY = "[API key]"
"""Replaces an API key."""

_SHORTEST = 8
"""Shorter tokens (`EMPTY`, `none`) are no secrets, and removing them would spoil ordinary words."""

_LINE = 500
_SURROGATE = re.compile("[\ud800-\udfff]")
_USER = re.compile(r"(?<=://)[^\s/?#@]*@")
_NAMED = re.compile(
    r"(?i)([?&](?:api[-_]?key|key|(?:access[-_]?)?token|auth|password|secret)=)[^&\s\"'<>]+"
    r"|(\b(?:bearer|basic) )[^&\s\"'<>]{16,}"
)

# Kept for the whole process: the logger and the command line clean texts without knowing the client.
_secrets: dict[str, bytes] = {}
_escaped: dict[str, re.Pattern[str]] = {}


def register(secret: str) -> None:
    """Remove a token from all texts cleaned from now on; called before it is sent anywhere."""
    if len(secret) >= _SHORTEST:
        for form in (secret, quote(secret, safe="")):
            _secrets[form] = form.encode("utf-8", "surrogatepass")
        _escaped[secret] = re.compile("".join(map(_any_form, secret)))


def _any_form(character: str) -> str:
    """Match a character as it is, or as JSON and URLs may write it; servers quote bodies unchanged."""
    code = ord(character)
    return rf"(?:\\?{re.escape(character)}|(?i:\\u{code:04x}|%{code:02x}))"


def received(body: B) -> B:
    """Clean bytes as they come in; some servers repeat the key in their refusals."""
    for secret in _secrets.values():
        if secret in body:
            body = body.replace(secret, KEY.encode())
    return body


def text(value: str) -> str:
    """Clean a text that will be stored: no key in it, and no lone surrogate, which no JSON parser accepts."""
    for secret in _secrets:
        if secret in value:
            value = value.replace(secret, KEY)
    return paired(value)


def paired(value: str) -> str:
    """Replace lone surrogates, which no JSON parser accepts."""
    return value if value.isascii() else _SURROGATE.sub("\ufffd", value)


def message(value: str) -> str:
    """Clean a text about a failure, which may hold escaped keys, and URLs and headers with others' keys."""
    for pattern in _escaped.values():
        value = pattern.sub(KEY, value)
    value = _USER.sub("[password]@", text(value))
    return _NAMED.sub(lambda found: f"{found[1] or found[2]}{KEY}", value)


def line(value: str, limit: int = _LINE) -> str:
    """Clean a text about a failure and bring it on one line of at most `limit` characters."""
    return shown(" ".join(message(text(value)[: 64 * limit]).split())[:limit])


def shown(value: str) -> str:
    r"""Clean a text for a screen or a log: characters that could steer a terminal are escaped (`\x1b`).

    Line ends and tabs stay.
    """
    value = message(value)
    if value.isprintable():
        return value
    return "".join(map(_visible, value))


def _visible(character: str) -> str:
    if character.isprintable() or character in "\n\t" or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode()
