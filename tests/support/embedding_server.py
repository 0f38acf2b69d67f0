"""An embeddings model behind TEI's protocol: texts are alike that share runs of letters."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from zlib import crc32


@dataclass
class Embeddings:
    """What the server gives, and what it was asked.

    Attributes:
        length: numbers in a vector; each text has one more than the last where `growing`.
        nan: the vectors hold no numbers.
    """

    url: str = ""
    length: int = 768
    growing: bool = False
    nan: bool = False
    texts: list[str] = field(default_factory=list)

    def vector(self, text: str) -> list[float]:
        self.texts.append(text)
        self.length += self.growing
        found = [0.0] * self.length
        padded = f" {text} "
        for at in range(len(padded) - 2):
            found[crc32(padded[at : at + 3].encode()) % self.length] += 1.0
        return [float("nan")] * self.length if self.nan else found


@contextmanager
def embedding_server() -> Iterator[Embeddings]:
    """Serve on loopback."""
    embeddings = Embeddings()

    class Handler(http.server.BaseHTTPRequestHandler):
        def _send(self, body: object, status: int = 200):
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self):
            known = {"model_id": "m", "model_type": {"embedding": {"pooling": "mean"}}, "version": "1.7.0"}
            self._send(known if self.path in ("/info", "/health") else {}, 200)

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._send([embeddings.vector(text) for text in asked["inputs"]])

        def log_message(self, *_: object):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        embeddings.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield embeddings
        server.shutdown()
        thread.join(10)
