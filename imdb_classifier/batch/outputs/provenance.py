"""What scoring wrote into a file's footer, and whether the file can stay as it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Literal

import pyarrow as pa

from imdb_classifier.batch.options import Selection
from imdb_classifier.batch.parquet_footer.added_columns import set_key_value
from imdb_classifier.batch.parquet_footer.compact_protocol import Struct
from imdb_classifier.batch.parquet_footer.file_footer import FileFooter, end_of_file
from imdb_classifier.errors import OutputExistsError, UnreadableFileError, cannot_write
from imdb_classifier.schema import FOOTER_KEY
from imdb_classifier.storage import ABSENT, State, storage_of

CAME_FROM: Final[Mapping[str, str]] = {
    "model_hash": "another model ({model_id})",
    "options": "other options",
    "input_footer": "an older state of the input",
}
"""What decides an output. A newer release of the package gives the same scores from the same model,
so its version does not."""


def read_provenance(path: str) -> dict[str, Any] | None:
    """What scoring wrote into a file's footer, or None where it did not write that file.

    Args:
        path: A file; if it is not Parquet, it was not written by scoring.
    """
    try:
        return provenance_in(FileFooter.read(path))
    except UnreadableFileError:
        return None


def provenance_in(footer: FileFooter) -> dict[str, Any] | None:
    """What scoring wrote into a footer, or None where it did not write it.

    Raises:
        UnreadableFileError: The file is not Parquet, or its footer is damaged.
    """
    try:
        found = json.loads((footer.metadata.metadata or {}).get(FOOTER_KEY, b"null"))
    except ValueError:
        return None
    return found if isinstance(found, dict) and "added_sha256" in found else None


def end_with_provenance(tree: Struct, provenance: Mapping[str, Any]) -> bytes:
    """What follows the data of a scored file: a footer that says what the file was made of.

    Args:
        tree: The footer, a ``FileMetaData``; it is changed.
        provenance: What it says.
    """
    set_key_value(tree, FOOTER_KEY, json.dumps(provenance, sort_keys=True).encode())
    return end_of_file(tree)


def state_of_own(path: str, is_own: Callable[[pa.NativeFile], bool]) -> State:
    """The state of a file that may be replaced or deleted because scoring wrote it.

    Args:
        path: A file, or `ABSENT` is returned.
        is_own: Whether scoring writes such files; it is given the file, opened for reading.

    Raises:
        OutputExistsError: Something else wrote it.
        CannotWriteError: It cannot be read.
    """
    storage = storage_of(path)
    try:
        state = storage.state(path)
        if state != ABSENT:
            with storage.open(path) as file:
                if not is_own(file):
                    raise _foreign(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    return state


def has_keys(file: pa.NativeFile, keys: Collection[str]) -> bool:
    """Whether a file is a JSON object with certain keys."""
    try:
        found = json.loads(file.read())
    except ValueError:
        return False
    return isinstance(found, dict) and found.keys() >= set(keys)


def _foreign(path: str) -> OutputExistsError:
    return OutputExistsError(path, "imdb-classifier did not write it", "Name another OUTPUT.")


def row_count(path: str) -> int:
    """Rows of a Parquet file, from its footer; 0 if it cannot be read."""
    try:
        return int(FileFooter.read(path).metadata.num_rows)
    except UnreadableFileError:
        return 0


def existing_output(
    target: str, origin: Mapping[str, Any], selection: Selection
) -> Literal["skipped"] | dict[str, Any] | None:
    """What an existing output means for its input.

    Args:
        target: The output.
        origin: What the footer would say of model, options and input.
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
    footer = read_provenance(target)
    if footer is None:
        raise _foreign(target)
    changed = [key for key in CAME_FROM if footer.get(key) != origin[key]]
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
