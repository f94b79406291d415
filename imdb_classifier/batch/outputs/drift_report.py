"""What a finished batch looks like beside its model's reference, as JSON next to the output."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields
from typing import Final

from imdb_classifier.batch.inputs.discovery import DiscoveredFile
from imdb_classifier.batch.outputs.provenance import has_keys, read_provenance, state_of_own
from imdb_classifier.errors import cannot_write
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.monitoring.drift import Drift, DriftLimits, measure_drift, reference_of
from imdb_classifier.storage import SUFFIX, State, storage_of
from imdb_classifier.storage.files import to_json
from imdb_classifier.text.batch_profile import BatchProfile

DRIFT_FILE: Final = "_DRIFT.json"
_KEYS: Final = ("schema_version", "rows", *(field.name for field in fields(Drift)))


def report_drift(
    output: str | None,
    files: Sequence[DiscoveredFile],
    bundle: Bundle,
    limits: DriftLimits | None = None,
) -> Drift | None:
    """Compare a batch with the reference in its model's bundle, and write what comes out.

    Args:
        output: The folder, which gets a ``_DRIFT.json``; None for a single file, which gets a
            ``_<its name>.drift.json`` beside it.
        files: The batch, all of it scored.
        bundle: The model that scored it.
        limits: What passes for usual.

    Returns:
        The comparison, or None for a model that was never evaluated, which has no reference.

    Raises:
        CannotWriteError: The place does not let us, or something else wrote a file of that name.
    """
    reference = reference_of(bundle)
    file = os.path.join(output, DRIFT_FILE) if output is not None else beside(files[0].target)
    replaced = state_of_report(file)
    storage = storage_of(file)
    try:
        if reference is None:
            storage.delete(file)
            return None
        footers = (read_provenance(one.target) for one in files)
        profiles = (BatchProfile.from_dict(found["profile"]) for found in footers if found)
        drift = measure_drift(bundle.model_id, sum(profiles, BatchProfile()), reference, limits)
        storage.write_text(file, to_json(drift.to_dict()), replaced)
    except OSError as error:
        raise cannot_write(file, error) from error
    return drift


def beside(target: str) -> str:
    """The path of the report on a single file."""
    folder, name = os.path.split(target)
    return os.path.join(folder, f"_{name.removesuffix(SUFFIX)}.drift.json")


def state_of_report(file: str) -> State:
    """The state of a report, which may be replaced.

    Raises:
        OutputExistsError: It is no report of ours.
        CannotWriteError: It cannot be read.
    """
    return state_of_own(file, lambda opened: has_keys(opened, _KEYS))
