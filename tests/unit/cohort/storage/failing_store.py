"""A store whose streams break, stall, lie or end early as told; everything else is a memory store's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from heartify.cohort.storage.store import Store

Wrapper = Callable[[Iterator[bytes]], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class ScriptedStore(Store):
    """`script` has one wrapper for each stream that is opened, then none is changed; `starts` notes their starts."""

    script: list[Wrapper] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)

    @contextlib.contextmanager
    def open_stream(self, name: str, start: int = 0) -> Iterator[Iterator[bytes]]:
        self.starts.append(start)
        wrapper = self.script.pop(0) if self.script else iter
        # Not super() without arguments: a dataclass with slots is another class than the one in this scope.
        with Store.open_stream(self, name, start) as blocks:
            yield wrapper(blocks)


def scripted(store: Store, *script: Wrapper) -> ScriptedStore:
    return ScriptedStore(store.url, store.filesystem, store.root, store.patience, list(script))


def breaks_after(count: int) -> Wrapper:
    """The connection breaks after so many bytes."""

    def wrapper(blocks: Iterator[bytes]) -> Iterator[bytes]:
        yield b"".join(blocks)[:count]
        raise ConnectionResetError(104, "reset")

    return wrapper


def ends_after(count: int) -> Wrapper:
    """The store ends the file after so many bytes, as if that were all."""

    def wrapper(blocks: Iterator[bytes]) -> Iterator[bytes]:
        yield b"".join(blocks)[:count]

    return wrapper


def sends(data: bytes) -> Wrapper:
    """The store sends something else."""
    return lambda _: iter([data])
