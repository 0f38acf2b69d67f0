"""Text to and from a terminal: quoting for bash, and removal of control sequences."""

from __future__ import annotations

import re

_LINE = 900  # characters a line; escaped they stay below the 4095 bytes a terminal takes
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours, cursor
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles
    r"|\x1b[PX^_][^\x1b]*\x1b\\"  # device strings
    r"|\x1b[ -/]*[0-~]"  # the rest
)
_PASTE = re.compile(r"(?:\r{0,2}\n)?\x1b\[\?2004l[\r\n]{0,4}")  # readline of a nested shell, leaving its line
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def clean(text: str) -> str:
    """Remove terminal escapes and control characters; lines end in a newline alone."""
    return _CONTROLS.sub("", _ESCAPES.sub("", _PASTE.sub("", text)).replace("\r\n", "\n"))


def command_lines(script: str) -> list[bytes]:
    """The lines to type so that bash runs `script` by one eval; all but the last only collect it."""
    if not script:
        return [b"\n"]
    pieces = [quoted(script[at : at + _LINE]) for at in range(0, len(script), _LINE)]
    if len(pieces) == 1:
        return [b"eval " + pieces[0] + b"\n"]
    lines = [b"__harness_script+=" + piece + b"\n" for piece in pieces]
    return [
        b"unset __harness_script\n",
        *lines,
        b'eval "unset __harness_script"$\'\\n\'"$__harness_script"\n',
    ]


def quoted(text: str) -> bytes:
    """Quote text as `$'...'`, on one line and without any character that a terminal acts on."""
    out = bytearray(b"$'")
    for byte in text.replace("\0", "").encode("utf-8", "replace"):
        if byte in b"\\'":
            out += b"\\" + bytes([byte])
        elif byte < 32 or byte == 127:
            out += b"\\%03o" % byte
        else:
            out.append(byte)
    return bytes(out + b"'")
