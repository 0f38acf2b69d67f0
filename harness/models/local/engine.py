"""Continuous batching: sequences join and leave a running batch at every step, in one thread."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from harness.models.local.batch import Batch
from harness.models.local.invalid import Invalid
from harness.models.local.loading import Loaded
from harness.models.local.memory import Budget
from harness.models.local.prefill import chunk, prompts
from harness.models.local.sampler import choose, likeliest
from harness.models.local.sequence import Failed, Finish, Sequence
from harness.models.local.slot_cache import Piece

log = logging.getLogger(__name__)


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
        self._closing, self._why = False, "the server is closing"
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
                sequence.tell(Failed(self._why))
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
        self._batch.clear()

    def _run(self) -> None:
        with self._torch.inference_mode():
            try:
                while self._busy():
                    self._step()
            except Exception:
                self._why = "the local model stopped"
                log.exception("%s; it answers no more requests", self._why)
            finally:
                with self._wake:
                    self._closing = True
                self._abandon(self._why)

    def _busy(self) -> bool:
        """Wait for something to do; False when the engine is to end."""
        with self._wake:
            while not (self._closing or self._rows or self._waiting):
                self._wake.wait()
            return not self._closing

    def _step(self) -> None:
        self.counts.steps += 1
        try:
            self._drop_cancelled()
            try:
                self._advance()
            except Exception as error:
                self._recover(error)
        except Exception as error:  # what the batch holds is not known any more
            log.exception("the local model's batch is lost")
            self._abandon(f"{type(error).__name__}: {str(error)[:500]}")
            self._batch.clear()

    def _advance(self) -> None:
        self._join()
        for rows in prompts(self._rows):
            self._read([self._rows[row] for row in rows], [chunk(self._rows, row) for row in rows])
        self._write()

    def _abandon(self, text: str) -> None:
        """Fail every request, those that wait too, and the others when one cannot be told."""
        with self._wake:
            lost = (*self._rows, *self._waiting)
            self._rows.clear()
            self._waiting.clear()
        self.counts.failed += len(lost)
        for sequence in lost:
            try:
                sequence.tell(Failed(text))
            except Exception:
                log.exception("a request that failed could not be told so")

    def _drop_cancelled(self) -> None:
        for sequence in [one for one in self._rows if one.cancelled]:
            self.counts.cancelled += 1
            self._leave(sequence)
        with self._wake:  # `submit` adds to them from other threads
            kept = [one for one in self._waiting if not one.cancelled]
            self.counts.cancelled += len(self._waiting) - len(kept)
            self._waiting = deque(kept)

    def _join(self) -> None:
        """Take those that wait into the batch, in their order, as many as there is room for."""
        with self._wake:
            waiting = tuple(self._waiting)
        needs = [one.needs for one in self._rows]
        joining: list[Sequence] = []
        shape = (0, 0)
        for sequence in waiting:
            grown = self.budget.shape([*needs, sequence.needs])
            if grown is not None:
                needs.append(sequence.needs)
                joining.append(sequence)
                shape = grown
            elif needs:
                break  # there is room when others have left
            else:
                self._waiting.popleft()
                self._fail(sequence, self.budget.too_small(sequence.needs))
        if joining and self._fits(joining, shape):
            now = time.monotonic()
            for sequence in joining:
                self._waiting.popleft()
                self._rows.append(sequence)
                sequence.joined = now

    def _fits(self, joining: list[Sequence], shape: tuple[int, int]) -> bool:
        """Make room for all that join; without memory half of them try next, one alone fails."""
        try:
            self._batch.cache.fit(*shape, [one.cached for one in self._rows])
        except Exception as error:
            fewer = len(joining) // 2
            scarce = self._batch.out_of_memory(error)
            if scarce:
                self.budget.shrink(len(self._rows) + fewer)
            for sequence in () if scarce and fewer else joining:
                self._waiting.popleft()
                self._fail(sequence, f"no room for {sequence.needs} tokens ({error}); {self.budget.told}")
            return False
        return True

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
        pieces = [Piece(row, one.cached, one.written[-1:] or (0,)) for row, one in enumerate(self._rows)]
        logits, _ = self._batch.forward(pieces, whole=False)
        found = logits[:, 0] if len(ready) == len(pieces) else logits[ready, 0]
        self._choose([self._rows[row] for row in ready], found)

    def _choose(self, ready: list[Sequence], logits: Any) -> None:
        """Give every sequence its next token by its row of the logits (sequences, vocabulary)."""
        logits = logits.float()
        sound = logits.amax(-1).isfinite().tolist()  # NaN and infinity both show in the maximum
        kept = [row for row, one in enumerate(ready) if self._sound(one, logits, row, finite=sound[row])]
        if not kept:
            return
        if len(kept) < len(ready):
            ready, logits = [ready[row] for row in kept], logits[kept]
        tokens, logprobs = choose(self._torch, logits, [one.sampler for one in ready])
        values = logprobs.gather(1, tokens[:, None])[:, 0].tolist()
        best = likeliest(logprobs, [one.sent.top_n_tokens or 0 for one in ready])
        for sequence, token, value, top in zip(ready, tokens.tolist(), values, best, strict=True):
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
        if not self._rows:
            raise error
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
