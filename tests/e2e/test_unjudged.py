"""MT-Bench without its judge, and with one that is half read: exit 3 until every answer has a verdict."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from command import harness

PLAY = ("run", "--task", "mt_bench", "--mirror", "fixture", "--limit", "first:2", "--no-report", "--out", "r")
GREEDY = ("--decoding", "greedy")  # the chat server below knows no temperature


class Chat(http.server.ThreadingHTTPServer):
    """A chat server that gives every question the same text, but those about one sample another."""

    text = "Fine. Rating: [[7]]"
    odd: tuple[str, str] | None = None
    asked = 0


class Handler(http.server.BaseHTTPRequestHandler):
    server: Chat

    def do_GET(self):
        self.send_error(404)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
        sample, text = self.server.odd or ("", "")
        said = text if self.headers.get("X-Harness-Sample") == sample else self.server.text
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        body = json.dumps({"choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object):
        pass


@contextmanager
def chat() -> Iterator[Chat]:
    with Chat(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


def url(server: Chat) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def test_it_ends_with_3_until_every_verdict_can_be_read(tmp_path: Path):
    def say(*words: str) -> tuple[int, str]:
        done = harness(tmp_path, *words)
        return done.returncode, done.stdout + done.stderr

    with chat() as model, chat() as judge:
        play = (*PLAY, *GREEDY, "--model", "m@chat", "--endpoint", url(model))
        code, said = say(*play)
        assert code == 3, said
        assert "answers of mt_bench wait for a judge: harness judge r --judge NAME@URL" in said
        judging = ("judge", "r", "--judge", f"strict@{url(judge)}")
        judge.odd = ("1", "Splendid. Rating: [[85]]")
        code, said = say(*judging)
        assert code == 3 and "2 verdicts cannot be read: judge RUN --retry asks for them again" in said, said
        assert "85.00" not in said, "a verdict outside its scale is none"
        judge.asked, judge.text = 0, "Rating: [[1]]"
        assert (say(*judging)[0], judge.asked) == (3, 0), "the same judge is not asked again by itself"
        judge.odd = ("1", "Rating: [[9]]")
        code, said = say(*judging, "--retry")
        assert (code, judge.asked) == (0, 2), said
        assert "8.00" in said, "the readable verdicts stay, whatever the judge would say now"
        assert say(*play)[0] == 0
