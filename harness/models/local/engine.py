"""Continuous batching: sequences join and leave a running batch at every step, in one thread."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from harness.models.local.batch import Batch
from harness.models.local.invalid import Invalid
from harness.models.local.loading import Loaded
from harness.models.local.memory import Budget
from harness.models.local.sampler import choose
from harness.models.local.sequence import Failed, Finish, Sequence
from harness.models.local.slot_cache import Piece

log = logging.getLogger(__name__)
_CHUNK = 256
"""Tokens of one prompt that are computed between two tokens of the others."""
_CHUNKS = 512
"""Tokens, padding included, of short prompts that are computed together."""


@dataclass(slots=True)
class Counts:
    """What the engine has done since it began; read by `/metrics`."""

    steps: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    tokens: int = 0


class Engine:
    """The batch of one model.

    A step drops what was cancelled, lets waiting sequences join in the order they came, computes a part of
    the prompts that are not read yet, and one token of every other sequence.
    """

    def __init__(self, loaded: Loaded, budget: Budget) -> None:
        self.loaded, self.budget, self.counts = loaded, budget, Counts()
        self._torch = loaded.torch
        self._batch = Batch(loaded)
        self._rows: list[Sequence] = []
        self._waiting: deque[Sequence] = deque()
        self._wake = threading.Condition()
        self._submitted = 0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="local-model", daemon=True)
        self._thread.start()

    @property
    def running(self) -> int:
        """Sequences in the batch."""
        return len(self._rows)

    @property
    def waiting(self) -> int:
        """Sequences that have not joined yet."""
        return len(self._waiting)

    @property
    def alive(self) -> bool:
        """Whether sequences are still served."""
        return self._thread.is_alive() and not self._closing

    def submit(self, sequence: Sequence) -> None:
        """Queue a sequence; its events come from the engine's thread."""
        with self._wake:
            if self._closing:
                sequence.tell(Failed("the server is closing"))
                return
            self._submitted += 1
            sequence.number = self._submitted
            self._waiting.append(sequence)
            self._wake.notify()

    def close(self) -> None:
        """Fail what runs and end the thread; returns after at most one step."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        with self._torch.inference_mode():
            while True:
                with self._wake:
                    while not (self._closing or self._rows or self._waiting):
                        self._wake.wait()
                    if self._closing:
                        break
                self._step()
        for sequence in (*self._rows, *self._waiting):
            sequence.tell(Failed("the server is closing"))
        self._rows.clear()
        self._waiting.clear()
        self._batch.clear()

    def _step(self) -> None:
        self.counts.steps += 1
        self._drop_cancelled()
        try:
            self._join()
            for rows in self._prompts():
                self._read([self._rows[row] for row in rows], [self._chunk(row) for row in rows])
            self._write()
        except Exception as error:
            self._recover(error)

    def _drop_cancelled(self) -> None:
        for sequence in [one for one in self._rows if one.cancelled]:
            self.counts.cancelled += 1
            self._leave(sequence)
        with self._wake:  # `submit` adds to them from other threads
            kept = [one for one in self._waiting if not one.cancelled]
            self.counts.cancelled += len(self._waiting) - len(kept)
            self._waiting = deque(kept)

    def _join(self) -> None:
        while self._waiting:
            sequence = self._waiting[0]
            shape = self.budget.shape([*(one.needs for one in self._rows), sequence.needs])
            if shape is None and self._rows:
                return  # there is room when others have left
            self._waiting.popleft()
            if shape is None:
                self._fail(sequence, self.budget.too_small(sequence.needs))
                continue
            try:
                self._batch.cache.fit(*shape, [one.cached for one in self._rows])
            except Exception as error:
                if self._batch.out_of_memory(error):
                    self.budget.shrink(len(self._rows))
                self._fail(sequence, f"no room for {sequence.needs} tokens ({error}); {self.budget.told}")
                continue
            sequence.joined = time.monotonic()
            self._rows.append(sequence)

    def _prompts(self) -> Iterable[list[int]]:
        """Rows whose prompts are read in this step: short ones together, and the one that waits longest."""
        reading = [row for row, one in enumerate(self._rows) if one.reading]
        if not reading:
            return
        size = {row: len(self._chunk(row).ids) for row in reading}
        together: list[int] = []
        for row in sorted(reading, key=lambda row: (size[row], row)):
            if together and (len(together) + 1) * size[row] > _CHUNKS:
                break
            together.append(row)
        first = min((self._rows[row] for row in reading), key=lambda one: one.number)
        alone = self._rows.index(first) not in together
        yield sorted(together)
        if alone:  # its row may be another one by now, where a shorter one ended
            yield [self._rows.index(first)]

    def _chunk(self, row: int) -> Piece:
        one = self._rows[row]
        return Piece(row, one.read, one.prompt.ids[one.read : one.read + _CHUNK])

    def _read(self, sequences: list[Sequence], pieces: list[Piece]) -> None:
        """Compute a piece of each sequence's prompt, and the first token of those that end with it."""
        whole = any(one.sent.decoder_input_details for one in sequences)
        logits, kept = self._batch.forward(pieces, whole=whole)
        ready: list[int] = []
        places: list[int] = []
        for index, (sequence, piece) in enumerate(zip(sequences, pieces, strict=True)):
            if sequence.sent.decoder_input_details:
                sequence.own += self._batch.own(logits[index], sequence.prompt.ids, piece)
            sequence.read += len(piece.ids)
            if not sequence.reading:
                ready.append(index)
                places.append(kept.index(len(piece.ids) - 1))
        if ready:
            self._choose([sequences[index] for index in ready], logits[ready, places])

    def _write(self) -> None:
        """Compute the next token of every sequence whose prompt is read."""
        ready = [row for row, one in enumerate(self._rows) if not one.reading]
        if not ready:
            return
        # Rows that still read a prompt compute a token nobody uses: so the rows stay one block.
        last = [0 if one.reading else one.written[-1] for one in self._rows]
        pieces = [Piece(row, one.cached, [last[row]]) for row, one in enumerate(self._rows)]
        logits, _ = self._batch.forward(pieces, whole=False)
        found = logits[:, 0] if len(ready) == len(pieces) else logits[ready, 0]
        self._choose([self._rows[row] for row in ready], found)

    def _choose(self, ready: list[Sequence], logits: Any) -> None:
        """Give every sequence its next token by its row of the logits (sequences, vocabulary)."""
        logits = logits.float()
        sound = logits.max(-1).values.isfinite().tolist()  # NaN and infinity both show in the maximum
        kept = [row for row, one in enumerate(ready) if self._sound(one, logits, row, finite=sound[row])]
        if not kept:
            return
        if len(kept) < len(ready):
            ready, logits = [ready[row] for row in kept], logits[kept]
        tokens, logprobs = choose(self._torch, logits, [one.sampler for one in ready])
        values = logprobs.gather(1, tokens[:, None])[:, 0].tolist()
        likeliest = self._likeliest(ready, logprobs)
        for sequence, token, value, top in zip(ready, tokens.tolist(), values, likeliest, strict=True):
            self._take(sequence, token, value, top)

    def _sound(self, sequence: Sequence, logits: Any, row: int, *, finite: bool) -> bool:
        """Lay a request's constraints on its row of the logits; False when that, or the model, fails it."""
        if not finite:
            self._batch.cache.wipe(self._rows.index(sequence))
            self._fail(sequence, "the model gave no finite logits (NaN or infinity)")
        elif sequence.sampler.constrained:
            seen = [*sequence.prompt.ids, *sequence.written]
            try:
                logits[row] = sequence.sampler.constrain(logits[row], seen, last=sequence.last)
            except Invalid as error:  # the grammar cannot go on, or has too many states
                self._fail(sequence, str(error))
                return False
        return finite

    def _likeliest(self, ready: list[Sequence], logprobs: Any) -> list[list[tuple[int, float]]]:
        """The `top_n_tokens` likeliest tokens of every sequence, with their log-probabilities."""
        wanted = [one.sent.top_n_tokens or 0 for one in ready]
        if not any(wanted):
            return [[] for _ in ready]
        best = logprobs.topk(min(max(wanted), logprobs.shape[-1]))
        found: list[list[tuple[int, float]]] = []
        for count, ids, values in zip(wanted, best.indices.tolist(), best.values.tolist(), strict=True):
            pairs = zip(ids[:count], values[:count], strict=True)
            found.append([(one, value) for one, value in pairs if value > float("-inf")])
        return found

    def _take(self, sequence: Sequence, token: int, logprob: float, top: list[tuple[int, float]]) -> None:
        try:
            finish = sequence.take(token, logprob, top)
        except Invalid as error:  # the grammar has more states than are kept
            self._fail(sequence, str(error))
            return
        self.counts.tokens += 1
        if finish is not None:
            self._finish(sequence, finish)

    def _finish(self, sequence: Sequence, finish: Finish) -> None:
        self.counts.done += 1
        self._leave(sequence)
        sequence.tell(sequence.done(finish))

    def _fail(self, sequence: Sequence, text: str) -> None:
        self.counts.failed += 1
        if sequence in self._rows:
            self._leave(sequence)
        sequence.tell(Failed(text))

    def _leave(self, sequence: Sequence) -> None:
        """Take a sequence out; the last row takes its place, so that the rows stay one block."""
        row, last = self._rows.index(sequence), len(self._rows) - 1
        if row != last:
            # One more than it has told of: this step's pass may have read its newest token already.
            self._batch.cache.move(last, row, self._rows[last].cached + 1)
            self._rows[row] = self._rows[last]
        self._rows.pop()

    def _recover(self, error: Exception) -> None:
        """After a failed pass: out of memory fails the newer half, anything else the whole batch."""
        newest = sorted(self._rows, key=lambda one: -one.number)
        if self._batch.out_of_memory(error):
            newest = newest[: max(1, len(newest) // 2)]
            self.budget.shrink(len(self._rows) - len(newest))
            text = f"out of memory with {len(self._rows)} sequences; {self.budget.told}"
        else:
            log.exception("a step of the local model failed")
            text = f"{type(error).__name__}: {str(error)[:500]}"
        for sequence in newest:
            self._fail(sequence, text)
        if self._batch.out_of_memory(error) and not self._rows:
            self._batch.clear()
