"""Checksums of files, and the text of JSON files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

_PIECE_BYTES: Final = 1 << 20


def sha256_of(path: Path, begin: int = 0, end: int | None = None) -> str:
    """Return the SHA-256 (hexadecimal) of a file's bytes from `begin` up to `end`.

    Args:
        path: The file.
        begin: Where to start, in bytes.
        end: Where to end; by default at the end of the file.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(begin)
        remaining = (path.stat().st_size if end is None else end) - begin
        while remaining > 0 and (piece := file.read(min(remaining, _PIECE_BYTES))):
            digest.update(piece)
            remaining -= len(piece)
    return digest.hexdigest()


def to_json(values: Mapping[str, Any]) -> str:
    """Return values as the text of a JSON file: indented, with sorted keys."""
    return "".join(json_pieces(values))


def json_pieces(
    values: Mapping[str, Any], default: Callable[[Any], object] | None = None
) -> Iterator[str]:
    """Yield the text of a JSON file in pieces, see `to_json`.

    Args:
        values: What is in it.
        default: Returns what to write for an object that JSON does not know.
    """
    encoder = json.JSONEncoder(
        indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False, default=default
    )
    yield from encoder.iterencode(values)
    yield "\n"
