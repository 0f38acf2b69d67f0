"""Keys and values of the sequences in a batch, each from position 0 of a row of its own.

No sequence is padded on the left, so positions, masks and results of one do not depend on the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class Piece(NamedTuple):
    """Tokens of one sequence that the model is about to read.

    Attributes:
        row: of the sequence in the cache.
        start: position of the first token.
        ids: the tokens, at least one.
    """

    row: int
    start: int
    ids: Sequence[int]


class SlotCache:
    """What transformers asks of a cache (`update`, `get_seq_length`), over rows that come and go.

    Tensors have the shape (rows, length, heads, head size), one pair for each layer: the heads of a position
    lie side by side, so that one stretch of memory is read for a row and one is written for a token.
    """

    is_compileable = False

    def __init__(self, torch: Any) -> None:
        self._torch = torch
        self._layers: dict[int, tuple[Any, Any]] = {}
        self.rows, self.length = 0, 0
        self._pieces: Sequence[Piece] = ()
        self._chosen: Any = slice(0)
        self._at: tuple[Any, Any] = (None, None)
        self._width = 0

    def look(self, pieces: Sequence[Piece], device: Any) -> Any:
        """Choose the rows that the next forward pass reads and writes; gives the tokens' positions.

        Returns:
            (pieces, tokens of the longest one); padding stands at the last position that is read.
        """
        torch = self._torch
        self._pieces = pieces
        self._width = max(piece.start + len(piece.ids) for piece in pieces)
        rows = [piece.row for piece in pieces]
        whole = rows == list(range(len(rows)))  # a slice is a view; a list of rows copies
        self._chosen = slice(len(rows)) if whole else rows
        starts = torch.tensor([piece.start for piece in pieces], device=device)
        self._at = (torch.tensor(rows, device=device), starts)
        queries = torch.arange(max(len(piece.ids) for piece in pieces), device=device)
        return (starts[:, None] + queries).clamp_(max=self._width - 1)

    def mask(self, positions: Any, dtype: Any) -> Any:
        """The additive mask (pieces, 1, tokens, width) of `look`'s positions: each sees those up to it."""
        torch = self._torch
        hidden = torch.arange(self._width, device=positions.device) > positions[:, None, :, None]
        empty = torch.zeros(hidden.shape, dtype=dtype, device=positions.device)
        return empty.masked_fill_(hidden, torch.finfo(dtype).min)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Unused: positions are given with every pass."""
        del layer_idx
        return 0

    def get_max_cache_shape(self, layer_idx: int = 0) -> int:
        """Tokens that a row holds."""
        del layer_idx
        return self.length

    def update(self, key: Any, value: Any, layer: int, told: Any = None) -> tuple[Any, Any]:
        """Store the new keys and values of a layer; gives all of the chosen rows up to the widest.

        Both in the shape (pieces, heads, tokens, head size), as transformers has it.
        """
        del told
        if layer not in self._layers:
            self._layers[layer] = (self._empty(key.transpose(1, 2)), self._empty(value.transpose(1, 2)))
        kept = self._layers[layer]
        for tensor, new in zip(kept, (key, value), strict=True):
            self._write(tensor, new)
        read = (tensor[self._chosen, : self._width].transpose(1, 2) for tensor in kept)
        return next(read), next(read)

    def _write(self, kept: Any, new: Any) -> None:
        if new.shape[2] == 1:
            kept[self._at] = new[:, :, 0]
            return
        for index, piece in enumerate(self._pieces):
            count = len(piece.ids)
            kept[piece.row, piece.start : piece.start + count] = new[index, :, :count].transpose(0, 1)

    def _empty(self, like: Any) -> Any:
        # Zeros: what is masked is still multiplied by 0, which not every number survives.
        return like.new_zeros((self.rows, self.length, *like.shape[2:]))

    def fit(self, rows: int, length: int, used: Sequence[int]) -> None:
        """Make the tensors `rows` by `length`, keeping the first `used[i]` positions of row i."""
        if (rows, length) == (self.rows, self.length):
            return
        old = (self.rows, self.length, dict(self._layers))
        try:
            self.rows, self.length = rows, length
            for layer, pair in old[2].items():
                self._layers[layer] = (self._moved(pair[0], used), self._moved(pair[1], used))
        except BaseException:
            self.rows, self.length, self._layers = old
            raise

    def _moved(self, tensor: Any, used: Sequence[int]) -> Any:
        fresh = self._empty(tensor)
        if used:
            count, width = len(used), max(used)
            fresh[:count, :width] = tensor[:count, :width]
        return fresh

    def move(self, source: int, target: int, used: int) -> None:
        """Copy the first `used` positions of a row over those of another one."""
        for pair in self._layers.values():
            for tensor in pair:
                tensor[target, :used] = tensor[source, :used]

    def wipe(self, row: int) -> None:
        """Set a row to zero: after NaN, which would spread to the next sequence there."""
        for pair in self._layers.values():
            for tensor in pair:
                tensor[row].zero_()
