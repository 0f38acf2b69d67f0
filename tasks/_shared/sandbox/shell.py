"""A persistent login shell in a sandbox, and the detection of a command's end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import struct
import termios
from dataclasses import dataclass
from fcntl import ioctl

from tasks._shared.sandbox.spec import Box, Refused, Terminal
from tasks._shared.sandbox.terminal_text import clean, command_lines

# How a shell waits for its next line, on x86-64 and on arm64: read(0), or (readline) poll and select.
_READS = (["0", "0x0"], ["63", "0x0"])
_POLLS = ("7", "23", "270", "271", "72", "73")
_QUIET_S = 0.03
_BLIND_QUIET_S = 0.15
_LOST_QUIET_S = 1.0
_GRACE_S = 2.0
_START_S = 20.0
_FLOOD = 64 << 20
_TAIL = 8192
_SCRIPT = 1 << 20
_USER = re.compile(r"[\w.-]{1,64}\Z")


@dataclass(frozen=True, slots=True)
class Output:
    r"""What one script printed.

    Attributes:
        text: without the prompt, terminal escapes and other control characters; lines end in `\n`.
        prompt: the prompt that followed it, `user@host:folder# `; empty when none came.
        timed_out: the script was interrupted at its deadline.
        flooded: it was interrupted because it printed without end.
        restarted: the shell had to be replaced; its directory and variables are gone.
        truncated: more was printed than was kept.
    """

    text: str
    prompt: str
    timed_out: bool = False
    flooded: bool = False
    restarted: bool = False
    truncated: bool = False


class Shell:
    """A bash that keeps its directory, variables and functions from script to script."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._terminal: Terminal | None = None
        self._seen = ""  # the last prompt, whose user@host shows where a prompt begins after other text
        self._reset()

    def _reset(self) -> None:
        self._head = bytearray()
        self._tail = b""
        self._total = 0
        self._closed = False
        self._news = asyncio.Event()

    async def start(self) -> Output:
        """Log in and wait for the first prompt.

        Raises:
            Refused: the system inside has no working shell, or no longer has one.
            SandboxFault: the sandbox is gone.
        """
        await self.close()
        self._reset()
        self._terminal = await self._box.terminal(("bash", "--noediting", "--login"), {})
        asyncio.get_running_loop().add_reader(self._terminal.fd, self._read)
        if await self._until_prompt(_START_S) != "prompt":
            raise Refused(f"no prompt from a new shell, only {bytes(self._head[-300:])!r}")
        greeting = self._take()
        self._clear()
        self._write(b"stty -echo\n")
        if await self._until_prompt(_START_S) != "prompt":
            raise Refused("the new shell does not answer")
        return greeting

    async def run(self, script: str, timeout: float) -> Output:
        """Run a script in the shell and read to the next prompt.

        Whatever the script does to the shell, a usable one is there afterwards.

        Args:
            script: bash text; run by one `eval`, so that it gives one prompt whatever its lines.
            timeout: seconds before it is interrupted.

        Raises:
            SandboxFault: the sandbox is gone.
        """
        if len(script.encode("utf-8", "replace")) > _SCRIPT:
            return Output("bash: the script is too long\n", self._seen)
        if (self._terminal is None or self._closed) and not await self._restart():
            return Output("", "", restarted=True)
        clock = asyncio.get_running_loop().time
        end = clock() + timeout
        *setting, last = command_lines(script)
        state = "prompt"
        for line in setting:
            self._clear()
            self._write(line)
            state = await self._until_prompt(max(end - clock(), 0.01), quiet=0)
            if state != "prompt":
                break
        if state == "prompt":
            self._clear()
            self._write(last)
            state = await self._until_prompt(max(end - clock(), 0.01))
        output = self._take()
        if state == "prompt":
            return output
        return await self._recover(output, state)

    async def _recover(self, output: Output, state: str) -> Output:
        """Interrupt what runs; when that does not bring the prompt back, start over with a new shell."""
        restarted = True
        if state in ("timeout", "flood"):
            self._clear()
            self._write(b"\x03")
            if await self._until_prompt(_GRACE_S) == "prompt":
                after = self._take()
                text = (output.text + after.text)[: self._box.spec.caps.output]
                output = Output(text, after.prompt, truncated=output.truncated)
                restarted = False
        if restarted:
            fresh = await self._restart()
            output = Output(output.text, fresh.prompt if fresh else "", truncated=output.truncated)
        return Output(
            output.text,
            output.prompt,
            timed_out=state == "timeout",
            flooded=state == "flood",
            restarted=restarted,
            truncated=output.truncated,
        )

    async def _restart(self) -> Output | None:
        """A new shell; None when the system inside can no longer start one."""
        try:
            return await self.start()
        except Refused:
            await self.close()
            return None

    async def close(self) -> None:
        """Hang up. Idempotent."""
        terminal, self._terminal = self._terminal, None
        if terminal is not None:
            if terminal.fd >= 0:
                asyncio.get_running_loop().remove_reader(terminal.fd)
            await terminal.close()

    # -- the terminal

    def _write(self, data: bytes) -> None:
        """Write a line; where no program reads from the terminal, what does not fit is lost."""
        if self._terminal is not None and not self._closed:
            with contextlib.suppress(OSError):
                os.write(self._terminal.fd, data)

    def _read(self) -> None:
        assert self._terminal is not None
        try:
            data = os.read(self._terminal.fd, 65536)
        except BlockingIOError:
            return
        except OSError:  # the last process on the terminal is gone
            data = b""
        if data:
            self._total += len(data)
            self._head += data[: max(self._box.spec.caps.output - len(self._head), 0)]
            self._tail = (self._tail + data)[-_TAIL:]
        else:
            self._closed = True
            asyncio.get_running_loop().remove_reader(self._terminal.fd)
        self._news.set()

    def _clear(self) -> None:
        self._head.clear()
        self._tail = b""
        self._total = 0

    async def _until_prompt(self, timeout: float, *, quiet: float | None = None) -> str:
        """Wait for the prompt and for quiet after it; returns prompt, timeout, flood or closed."""
        clock = asyncio.get_running_loop().time
        end = clock() + timeout
        while True:
            self._news.clear()
            if self._closed:
                return "closed"
            if self._total > _FLOOD:
                return "flood"
            pause, sure = self._settling(quiet)
            if sure and pause == 0:
                return "prompt"
            wait = end - clock() if pause is None else min(pause, end - clock())
            try:
                await asyncio.wait_for(self._news.wait(), max(wait, 0))
            except TimeoutError:
                if sure and wait == pause and self._settling(quiet)[1]:
                    return "prompt"
                if clock() >= end:
                    return "timeout"

    def _settling(self, quiet: float | None) -> tuple[float | None, bool]:
        """Seconds without output to wait for, and whether the command has then ended or is checked again."""
        waiting = self._waiting()
        if self._found_prompt():
            if quiet is not None:
                return quiet, True
            return (_BLIND_QUIET_S, True) if waiting is None else (_QUIET_S, waiting != "no")
        # The prompt was changed: the shell waits for a command if it reads from the terminal.
        return (_LOST_QUIET_S, True) if waiting == "shell" else (None, False)

    def _found_prompt(self) -> str:
        """The prompt at the end of what was read, or nothing."""
        end = self._tail[-48:]
        if b"# " not in end and b"$ " not in end:
            return ""
        text = clean(self._tail.decode("utf-8", "replace"))
        place = text.rfind(f"@{self._box.spec.hostname}:")
        user = _USER.search(text[:place]) if place > 0 else None
        if user is None or not text.endswith(("# ", "$ ")) or "\n" in text[place:]:
            return ""
        return user[0] + text[place:]

    def _waiting(self) -> str | None:
        """Which program in the terminal's foreground waits for input: shell, other or no; None when unknown.

        A shell that waits for a command substitution is in the foreground too, but reads from a pipe.
        """
        terminal = self._terminal
        if terminal is None or not terminal.pid:
            return None
        try:
            group = struct.unpack("i", ioctl(terminal.fd, termios.TIOCGPGRP, b"\0" * 4))[0]
            with open(f"/proc/{group}/syscall") as file:  # noqa: PTH123 (asked at every read)
                call = file.read().split()[:2]
        except OSError:
            return "no"
        if call not in _READS and call[:1] not in [[number] for number in _POLLS]:
            return "no"
        return "shell" if group == terminal.pid else "other"

    def _take(self) -> Output:
        """What was read so far, cut into text and prompt."""
        truncated = self._total > len(self._head)
        text = clean(self._head.decode("utf-8", "replace"))
        prompt = self._found_prompt()
        if not prompt:
            return Output(text, "", truncated=truncated)
        user = self._seen.partition(":")[0]
        if user and user in prompt:
            prompt = prompt[prompt.index(user) :]
        self._seen = prompt
        return Output(text.removesuffix(prompt), prompt, truncated=truncated)
