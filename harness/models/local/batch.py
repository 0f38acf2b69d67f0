"""Forward passes of a model over pieces of several sequences, with their cache."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from harness.models.local.loading import Loaded
from harness.models.local.slot_cache import Piece, SlotCache


class Batch:
    """A model with the keys and values of the sequences it computes."""

    def __init__(self, loaded: Loaded) -> None:
        self._torch, self._model = loaded.torch, loaded.model
        self._some = "logits_to_keep" in inspect.signature(loaded.model.forward).parameters
        self.cache = SlotCache(loaded.torch)

    def forward(self, pieces: Sequence[Piece], *, whole: bool) -> tuple[Any, list[int]]:
        """Read the pieces.

        Args:
            pieces: one for each sequence; shorter ones are padded on the right.
            whole: give the logits of every token instead of the last of each piece.

        Returns:
            Logits (pieces, places, vocabulary), and the index in a piece that each place stands for.
        """
        torch, device = self._torch, self._model.device
        positions = self.cache.look(pieces, device)
        queries = positions.shape[1]
        ids = torch.tensor([[*p.ids, *[0] * (queries - len(p.ids))] for p in pieces], device=device)
        kept = list(range(queries)) if whole else sorted({len(piece.ids) - 1 for piece in pieces})
        part = self._some and len(kept) < queries
        output = self._model(
            input_ids=ids,
            attention_mask=self.cache.mask(positions, self._model.dtype),
            position_ids=positions,
            cache_position=positions[0],
            past_key_values=self.cache,
            use_cache=True,
            **({"logits_to_keep": torch.tensor(kept, device=device)} if part else {}),
        )
        logits = output.logits
        return (logits if part or len(kept) == queries else logits[:, kept]), kept

    def own(self, logits: Any, prompt: Sequence[int], piece: Piece) -> list[float]:
        """Log-probabilities of the prompt's tokens after each of a piece's tokens.

        Args:
            logits: (tokens of the piece and padding, vocabulary).
            prompt: the whole prompt.
            piece: a part of it.
        """
        following = prompt[piece.start + 1 : piece.start + len(piece.ids) + 1]
        if not following:
            return []
        ids = self._torch.tensor(following, device=logits.device)[:, None]
        found = logits[: len(following)].float().log_softmax(-1).gather(1, ids)[:, 0]
        return [float(one) for one in found.tolist()]

    def out_of_memory(self, error: Exception) -> bool:
        """Whether torch says that memory ran out, on a GPU or not."""
        told = str(error)
        known = isinstance(error, MemoryError | self._torch.OutOfMemoryError)
        return known or "can't allocate memory" in told or "not enough memory" in told

    def clear(self) -> None:
        """Free the keys and values."""
        self.cache = SlotCache(self._torch)
        if self._model.device.type == "cuda":
            self._torch.cuda.empty_cache()
