"""The one registry: what can be chosen by name. A new model is one file and one line here."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """A class or function, found by ``module:name`` when first used, what it is, and the options that make it that."""

    target: str
    description: str
    options: Mapping[str, Any] = {}

    def load(self) -> Any:
        """Import it."""
        module, name = self.target.split(":")
        return getattr(import_module(module), name)


class Registry(Mapping[str, Entry]):
    """Entries by name; prints itself as a table."""

    def __init__(self, kind: str, entries: Mapping[str, Entry]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> Entry:
        if name not in self._entries:
            close = difflib.get_close_matches(str(name), self._entries, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            msg = f"Unknown {self.kind} {name!r}; known are {list(self._entries)}.{hint}"
            raise ValueError(msg)
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        width = max(map(len, self._entries))
        return "\n".join(f"{name:<{width}}  {entry.description}" for name, entry in self._entries.items())


baselines = Registry(
    "baseline", {"logistic": Entry("epiattn.baselines:logistic", "logistic regression on the total of each mark")}
)

models = Registry(
    "model",
    {
        "multi_attention": Entry("epiattn.models:MultiAttention", "the package's default model"),
        "kang2020": Entry(
            "epiattn.models:MultiAttention", "Kang et al. 2020 as published, corrected", {"reconstruction": 0.0}
        ),
    },
)
