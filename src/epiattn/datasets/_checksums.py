"""Checksums of files by their names, as people have them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

#: By the number of hexadecimal digits.
_ALGORITHMS = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}
_LINE = re.compile(r"([0-9a-fA-F]+) [ *](.+)")


def read_checksums(checksums: str | Path | Mapping[str, str] | None) -> dict[str, str]:
    """Checksums as pooch takes them (``md5:…``), by the names of the files.

    Parameters
    ----------
    checksums
        A mapping, or a text file with lines as ``md5sum`` or ``sha256sum`` write them; ``None``: none.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a line or a checksum is not as it should be.
    """
    if checksums is None:
        return {}
    if isinstance(checksums, Mapping):
        return {name: _named(f"checksums[{name!r}]", each) for name, each in checksums.items()}
    path = Path(checksums).expanduser()
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            msg = f"{path}:{number}: a line must be a checksum, two blanks and a name, as md5sum writes, not {line!r}."
            raise ValueError(msg)
        found[Path(match[2]).name] = _named(f"{path}:{number}", match[1])
    return found


def _named(where: str, checksum: str) -> str:
    """A checksum with the name of its algorithm before it."""
    algorithm, _, digits = checksum.rpartition(":")
    known = _ALGORITHMS.get(len(digits))
    if not re.fullmatch(r"[0-9a-fA-F]+", digits) or known is None or algorithm not in ("", known):
        msg = f"{where}: {checksum!r} is no checksum; it must be of {', '.join(_ALGORITHMS.values())}."
        raise ValueError(msg)
    return f"{known}:{digits.lower()}"
