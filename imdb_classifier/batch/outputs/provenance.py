"""What scoring wrote into a file's footer, and whether the file can stay as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, Literal

import pyarrow.parquet as pq

from imdb_classifier.batch.options import Selection
from imdb_classifier.errors import OutputExistsError, UnreadableFileError, cannot_write
from imdb_classifier.schema import FOOTER_KEY
from imdb_classifier.storage import readable, storage_of

_PIECE_BYTES: Final = 1 << 20

CAME_FROM: Final[Mapping[str, str]] = {
    "model_hash": "another model ({model_id})",
    "options": "other options",
    "input_footer": "an older state of the input",
    "input_sha256": "an older state of the input",
}
"""What decides an output. A newer release of the package gives the same scores from the same model,
so its version does not."""


def read_metadata(path: str) -> pq.FileMetaData:
    """What a Parquet file's footer says of the file.

    A column chunk's part of it is not to be asked for: where it is damaged or encrypted, pyarrow
    ends the process.

    Raises:
        UnreadableFileError: The file is not Parquet, is damaged, or cannot be read.
    """
    with readable(path), storage_of(path).open(path) as file:
        return pq.read_metadata(file)


def row_count(path: str) -> int:
    """Rows of a Parquet file, from its footer; 0 if it cannot be read."""
    try:
        return int(read_metadata(path).num_rows)
    except UnreadableFileError:
        return 0


def read_footer(path: str) -> dict[str, Any] | None:
    """What scoring wrote into a file's footer, or None where it did not write that file.

    Args:
        path: A file; if it is not Parquet, it was not written by scoring.
    """
    try:
        metadata = read_metadata(path).metadata or {}
        footer = json.loads(metadata.get(FOOTER_KEY, b"null"))
    except ValueError:
        return None
    return footer if isinstance(footer, dict) and "rows" in footer else None


def footer_digest(path: str) -> str:
    """SHA-256 (hexadecimal) of a Parquet file's length and footer.

    It nearly always differs where the content does, and is quickly read; to be sure, all of the
    file has to be.

    Raises:
        OSError: The file cannot be read.
    """
    with storage_of(path).open(path) as file:
        size = file.size()
        digest = sha256(f"{size}".encode())
        file.seek(max(size - 8, 0))
        length = int.from_bytes(file.read(4), "little")
        file.seek(max(size - 8 - length, 0))
        # In pieces: a damaged file may claim that all of it is footer.
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
        return digest.hexdigest()


def existing_output(
    target: str, origin: Mapping[str, Any], selection: Selection
) -> Literal["skipped"] | dict[str, Any] | None:
    """What an existing output means for its input.

    Args:
        target: The output.
        origin: What the footer would say of model, options and input; of the input it may lack the
            checksum of all its bytes.
        selection: Which files are scored.

    Returns:
        The footer of an output that is up to date and stays, "skipped" if the selection leaves the
        file out, None if it is to be scored.

    Raises:
        OutputExistsError: The output exists and may not be replaced.
    """
    try:
        there = storage_of(target).kind(target)
    except OSError as error:
        raise cannot_write(target, error) from error
    if there is None:
        return None if selection.new else "skipped"
    footer = read_footer(target)
    if footer is None:
        raise OutputExistsError(target, "imdb-classifier did not write it", "Name another OUTPUT.")
    changed = [key for key in CAME_FROM if key in origin and footer.get(key) != origin[key]]
    if not changed:
        return None if selection.force else footer
    if selection.stale == "refuse":
        came_from = (CAME_FROM[key].format(model_id=footer.get("model_id")) for key in changed)
        raise OutputExistsError(
            target,
            f"it was scored from {' and '.join(dict.fromkeys(came_from))}",
            "Replace such outputs with --only new,stale, or name another OUTPUT.",
        )
    return None if selection.stale == "replace" else "skipped"
