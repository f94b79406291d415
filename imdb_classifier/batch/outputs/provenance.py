"""What scoring writes into a file's footer: what the file was made from, and what it contains."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import pyarrow as pa

from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.batch.parquet_footer.added_columns import set_key_value
from imdb_classifier.batch.parquet_footer.compact_protocol import Struct
from imdb_classifier.batch.parquet_footer.file_footer import FileFooter, end_of_file
from imdb_classifier.batch.results import COUNTS
from imdb_classifier.errors import (
    ConfigurationError,
    NoInputError,
    OutputExistsError,
    UnreadableFileError,
)
from imdb_classifier.schema import FOOTER_KEY
from imdb_classifier.storage import ABSENT, State, storage_of
from imdb_classifier.system_errors import cannot_write
from imdb_classifier.text.batch_profile import BatchProfile

_TEXTS: Final = ("added_sha256", "input_footer", "input_sha256", "model_hash", "model_id")
_CHANGES: Final[Mapping[str, str]] = {
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

    Raises:
        UnavailableError: The file cannot be reached.
    """
    try:
        return provenance_in(FileFooter.read(path))
    except (NoInputError, UnreadableFileError):
        return None


def provenance_in(footer: FileFooter) -> dict[str, Any] | None:
    """What scoring wrote into a footer, or None where it did not write it."""
    try:
        found = json.loads((footer.metadata.metadata or {}).get(FOOTER_KEY, b"null"))
    except (UnreadableFileError, ValueError):
        return None
    # Other programs copy the keys of a footer to files that they write.
    is_ours = isinstance(found, dict) and found.get("data_bytes") == footer.begins_at
    return found if is_ours and _is_whole(found) else None


def _is_whole(found: Mapping[str, Any]) -> bool:
    """Whether everything is there that is read of it, in the form in which it was written."""
    try:
        options = ScoreOptions(**found["options"])
        BatchProfile.from_dict(found["profile"])
        texts = [*(found[key] for key in _TEXTS), options.text_column, options.prefix]
        texts += [] if options.unsure_label is None else [options.unsure_label]
        counts = [found["rows"][column] for column in ("all", *COUNTS[1:])]
        numbers = [*counts, found["copied_bytes"]]
        return {*map(type, texts)} == {str} and {*map(type, numbers)} == {int}
    except (AttributeError, ConfigurationError, LookupError, TypeError):
        return False


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
                    raise foreign(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    return state


def has_keys(file: pa.NativeFile, keys: Collection[str]) -> bool:
    """Whether a file is a JSON object with certain keys."""
    try:
        found = json.loads(file.read())
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.keys() >= set(keys)


def foreign(path: str) -> OutputExistsError:
    """Return the error to raise where an output would replace a file of another program."""
    return OutputExistsError(path, "imdb-classifier did not write it", "Choose another `output`.")


def origin(footer: FileFooter, model_hash: str, options: ScoreOptions) -> dict[str, Any]:
    """Return what determines an output, as its footer says it: model, options and input."""
    return {
        "model_hash": model_hash,
        "options": options.to_dict(),
        "input_footer": footer.digest,
    }


def changes(provenance: Mapping[str, Any], origin: Mapping[str, Any]) -> list[str]:
    """Return what an output was scored from, as far as it would be scored from something else now.

    Args:
        provenance: What its footer says.
        origin: What its footer would say, see `origin`.
    """
    changed = (phrase for key, phrase in _CHANGES.items() if provenance.get(key) != origin[key])
    return [phrase.format(model_id=provenance.get("model_id")) for phrase in changed]
