"""Checksums of files, and the text of JSON files."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
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
    # As bytes: json.dumps and StringIO keep every number and bracket as a string of its own.
    content = io.BytesIO()
    with io.TextIOWrapper(content, "utf-8", newline="\n") as text:
        json.dump(values, text, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        text.write("\n")
        text.flush()
        return content.getvalue().decode()
