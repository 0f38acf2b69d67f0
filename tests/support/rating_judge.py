"""A server behind OpenAI's chat protocol that says one text: a judge that rates everything 7."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Chat(http.server.ThreadingHTTPServer):
    """What is said, and to how many questions.

    Attributes:
        odd: a sample, and what its questions get instead.
    """

    text = "Fine. Rating: [[7]]"
    odd: tuple[str, str] | None = None
    asked = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers one question."""

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
    """Serve on loopback."""
    with Chat(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


@contextmanager
def rating_judge() -> Iterator[str]:
    """Serve the judge; yields its URL."""
    with chat() as server:
        yield server.url
