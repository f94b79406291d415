"""The drift of a finished output, as JSON next to it."""

from __future__ import annotations

import posixpath
from typing import Final

from imdb_classifier.batch.outputs.provenance import has_keys, state_of_own
from imdb_classifier.monitoring.drift import Drift
from imdb_classifier.storage import ABSENT, State, storage_of
from imdb_classifier.storage.files import to_json
from imdb_classifier.storage.paths import side_stem_of
from imdb_classifier.system_errors import cannot_write

DRIFT_FILE: Final = "_DRIFT.json"
_REPORT: Final = ".drift.json"
_KEYS: Final = ("schema_version", "rows", "model_id", "measures", "batch", "reference")


def drift_file(output: str, is_folder: bool) -> str:
    """Return where the drift of an output is written.

    Args:
        output: A scored file, or a folder.
        is_folder: Which of the two it is.
    """
    if is_folder:
        return posixpath.join(output, DRIFT_FILE)
    folder, name = posixpath.split(output)
    return posixpath.join(folder, f"_{side_stem_of(name, '_', _REPORT)}{_REPORT}")


def state_of_report(path: str) -> State:
    """Return the state of a report, which may be replaced.

    Raises:
        OutputExistsError: It is no report of ours.
        CannotWriteError: It cannot be read.
    """
    return state_of_own(path, lambda opened: has_keys(opened, _KEYS))


def write_drift(path: str, drift: Drift | None) -> None:
    """Write a drift report, or delete that of an earlier run if there is none.

    Raises:
        OutputExistsError: Another program wrote a file of that name.
        CannotWriteError: The file cannot be written.
    """
    replaced = state_of_report(path)
    storage = storage_of(path)
    try:
        if drift is not None:
            text = to_json(drift.to_dict())
            if replaced == ABSENT or storage.read_text(path) != text:
                storage.write_text(path, text, replaced)
        elif replaced != ABSENT:
            storage.delete(path)
    except OSError as error:
        raise cannot_write(path, error) from error
