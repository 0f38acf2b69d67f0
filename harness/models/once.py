"""Keeps what a command would otherwise ask or load twice: once for its check of a model, once for its run."""

from __future__ import annotations

from collections.abc import Generator, Hashable
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Once(Generic[K, V]):
    """Values by key, kept only while `kept` is open."""

    def __init__(self, name: str) -> None:
        self._values: ContextVar[dict[K, V] | None] = ContextVar(name, default=None)

    @contextmanager
    def kept(self) -> Generator[None]:
        """Keep what is put in, in this context and those copied from it, until the end."""
        token = self._values.set({})
        try:
            yield
        finally:
            self._values.reset(token)

    def get(self, key: K) -> V | None:
        """What was put in under a key; None without it, or when nothing is kept."""
        return (self._values.get() or {}).get(key)

    def put(self, key: K, value: V) -> None:
        """Keep a value, if anything is kept."""
        if (values := self._values.get()) is not None:
            values[key] = value
