"""The promise that a folder of scored files is complete: ``_MANIFEST.json``, then ``_SUCCESS``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from imdb_classifier.batch.discovery import PlannedFile
from imdb_classifier.batch.outputs.drift_report import DRIFT_FILE
from imdb_classifier.batch.outputs.provenance import read_footer
from imdb_classifier.batch.outputs.scored_file import COUNTS, FileResult, ScoreOptions
from imdb_classifier.batch.wording import cannot_write
from imdb_classifier.errors import BadDataError, printable
from imdb_classifier.model.bundle import to_json
from imdb_classifier.storage import storage_of
from imdb_classifier.storage.files import sha256_of

MANIFEST_FILE: Final = "_MANIFEST.json"
SUCCESS_FILE: Final = "_SUCCESS"


def withdraw(output: str) -> None:
    """Take back the promise that a folder is complete, until `declare` gives it again.

    Raises:
        CannotWriteError: The folder does not let us.
    """
    try:
        for name in (SUCCESS_FILE, MANIFEST_FILE, DRIFT_FILE):
            storage_of(output).delete(os.path.join(output, name))
    except OSError as error:
        raise cannot_write(output, error) from error


def declare(
    output: str,
    source: str,
    model: Mapping[str, str],
    options: ScoreOptions,
    planned: Iterable[PlannedFile],
    files: Iterable[FileResult],
) -> None:
    """Promise that a folder is complete.

    Nothing in the manifest tells two runs over the same input apart.

    Args:
        output: The folder.
        source: What was scored, as it was named.
        model: model_id and model_hash of the one that scored all of it.
        options: Columns, and rows without text.
        planned: All of its files.
        files: What became of each: scored or reused.

    Raises:
        BadDataError: An output is no longer what this run made or found.
        CannotWriteError: The folder does not let us.
    """
    storage = storage_of(output)
    try:
        listed = [
            _listed(file, became, model["model_hash"])
            for file, became in zip(planned, files, strict=True)
        ]
        manifest = {
            "input": printable(source),
            "model_id": model["model_id"],
            "model_hash": model["model_hash"],
            "options": asdict(options),
            "totals": {
                "files": len(listed),
                **{column: sum(file[column] for file in listed) for column in COUNTS},
            },
            "files": listed,
        }
        storage.write_text(os.path.join(output, MANIFEST_FILE), to_json(manifest))
        storage.write_text(os.path.join(output, SUCCESS_FILE), "")
    except OSError as error:
        raise cannot_write(output, error) from error


def _listed(file: PlannedFile, became: FileResult, model_hash: str) -> dict[str, Any]:
    footer = read_footer(file.target)
    if footer is None or footer["model_hash"] != model_hash:
        raise BadDataError(
            "All outputs of a run must be of one model.",
            f"{file.target} was changed while the run was at work.",
            "Let one run at a time write there, and run it again.",
        )
    with storage_of(file.target).reading(file.target) as copy:
        sha256 = sha256_of(Path(copy))
    return {
        "name": file.name,
        **{column: getattr(became, column) for column in COUNTS},
        "sha256": sha256,
    }
