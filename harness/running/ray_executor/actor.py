"""What runs on a node of the cluster: a worker behind calls of Ray."""

from __future__ import annotations

import gc
import logging
from collections import deque
from collections.abc import Sequence

from harness.models import outside
from harness.running.garbage import collect_less_often
from harness.running.ray_executor import settings
from harness.running.ray_executor.messages import Handed, Line, Opened, Opening, Report
from harness.running.ray_executor.player import WorkerPlayer

MOST_LINES = 1000
"""Log lines kept until the next report; older ones are dropped."""


class Actor:
    """Takes one call at a time; its log lines travel with its reports, and none goes to Ray's files."""

    def __init__(self) -> None:
        self._lines: deque[Line] = deque(maxlen=MOST_LINES)
        self._player = WorkerPlayer(self._lines)

    def open(self, opening: Opening) -> Opened:
        """As `WorkerPlayer.open`."""
        settings.adopt(opening.settings)
        root = logging.getLogger()
        root.handlers[:] = [_Kept(self._lines)]
        root.setLevel(opening.level)
        logging.getLogger("asyncio").setLevel(logging.WARNING)
        collect_less_often()
        opened = self._player.open(opening)
        gc.freeze()  # what start-up and Ray made stays
        return opened

    def exchange(self, handed: Sequence[Handed], over: Sequence[str], stop: bool, requests: int) -> Report:
        """As `WorkerPlayer.exchange`."""
        return self._player.exchange(handed, over, stop=stop, requests=requests)

    def close(self) -> None:
        """As `WorkerPlayer.close`."""
        self._player.close()


class _Kept(logging.Handler):
    """Keeps log lines, without keys and control characters, for the next report."""

    def __init__(self, lines: deque[Line]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] != "ray":
            self._lines.append(Line(record.name, record.levelno, outside.shown(self.format(record))))
