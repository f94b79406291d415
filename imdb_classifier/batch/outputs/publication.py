"""What says that a folder of scored files is complete: ``_MANIFEST.json``, then ``_SUCCESS``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Final

from imdb_classifier.batch.inputs.discovery import DiscoveredFile
from imdb_classifier.batch.inputs.file_names import is_hidden, is_parquet
from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.batch.outputs.drift_report import DRIFT_FILE, state_of_report
from imdb_classifier.batch.outputs.provenance import provenance_in, read_provenance
from imdb_classifier.batch.parquet_footer.file_footer import FileFooter
from imdb_classifier.batch.results import COUNTS, FileResult
from imdb_classifier.errors import (
    BadDataError,
    NoInputError,
    UnreadableFileError,
    cannot_write,
    first_line,
    printable,
)
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.storage import storage_of
from imdb_classifier.storage.files import to_json

RUN_MANIFEST_FILE: Final = "_MANIFEST.json"
SUCCESS_FILE: Final = "_SUCCESS"


def unpublish(output: str) -> None:
    """Mark a folder as incomplete, until `publish`.

    Raises:
        CannotWriteError: The folder cannot be written, or it has a ``_DRIFT.json`` of others.
    """
    state_of_report(os.path.join(output, DRIFT_FILE))
    try:
        for name in (SUCCESS_FILE, RUN_MANIFEST_FILE, DRIFT_FILE):
            storage_of(output).delete(os.path.join(output, name))
    except OSError as error:
        raise cannot_write(output, error) from error


def publish(
    output: str,
    source: str,
    bundle: Bundle,
    options: ScoreOptions,
    files: Iterable[DiscoveredFile],
    results: Iterable[FileResult],
) -> None:
    """Mark a folder as complete.

    Nothing in the manifest differs between two runs over the same input.

    Args:
        output: The folder.
        source: What was scored, as the user named it.
        bundle: The model that scored all of it.
        options: Columns, and rows without text.
        files: All of its files.
        results: One for each: scored or reused.

    Raises:
        BadDataError: An output is no longer what this run wrote or found.
        CannotWriteError: The folder cannot be written.
    """
    storage = storage_of(output)
    try:
        listed = [
            _listed(file, result, bundle.model_hash)
            for file, result in zip(files, results, strict=True)
        ]
        manifest = {
            "input": printable(storage_of(source).absolute(source)),
            "model_id": bundle.model_id,
            "model_hash": bundle.model_hash,
            "options": asdict(options),
            "totals": {
                "files": len(listed),
                **{column: sum(file[column] for file in listed) for column in COUNTS},
            },
            "files": listed,
        }
        storage.write_text(os.path.join(output, RUN_MANIFEST_FILE), to_json(manifest))
        storage.write_text(os.path.join(output, SUCCESS_FILE), "")
    except OSError as error:
        raise cannot_write(output, error) from error


def _listed(file: DiscoveredFile, result: FileResult, model_hash: str) -> dict[str, Any]:
    footer = FileFooter.read(file.target)
    provenance = provenance_in(footer)
    if provenance is None or provenance["model_hash"] != model_hash:
        raise BadDataError(
            "All outputs of a run must come from one model.",
            f"{file.target} was changed during the run.",
            "Let only one run at a time write there, and rerun.",
        )
    return {
        "name": file.name,
        **{column: getattr(result, column) for column in COUNTS},
        # It covers the whole file: the footer has checksums of everything before it.
        "footer_digest": footer.digest,
    }


class Publication:
    """What an output says about itself: a folder in its manifest, a single file in its footer.

    Args:
        output: A scored file, or a folder that a run completed.

    Attributes:
        output: What was given.
        model_id: The model that scored all of it.
        source: The input, or None for a single file.
        files: What the manifest says about each file, by its name; empty for a single file.

    Raises:
        NoInputError: It is neither.
        UnreadableFileError: Its place cannot be reached.
        BadDataError: The manifest is damaged.
    """

    def __init__(self, output: str) -> None:
        self.output = output
        self.source: str | None = None
        self.files: dict[str, dict[str, Any]] = {}
        try:
            said = self._said()
        except OSError as error:
            raise UnreadableFileError(output, first_line(error)) from error
        if said is None:
            raise NoInputError(
                "Only a scored file or a folder with _SUCCESS and _MANIFEST.json can be verified.",
                f"{output} is neither.",
                "Finish it with imdb-classifier score, or name another OUTPUT.",
            )
        self.model_id = str(said["model_id"])

    def _said(self) -> dict[str, Any] | None:
        storage = storage_of(self.output)
        if storage.kind(self.output) != "folder":
            self._root, self._found = os.path.dirname(self.output), [os.path.basename(self.output)]
            self.files = {printable(name): {} for name in self._found}
            return read_provenance(self.output)
        self._root, self._found = self.output, storage.find(self.output).names()
        if SUCCESS_FILE not in self._found:
            return None
        manifest = os.path.join(self.output, RUN_MANIFEST_FILE)
        try:
            said: dict[str, Any] = json.loads(storage.read_text(manifest))
            self.source = said["input"]
            self.files = {listed["name"]: listed for listed in said["files"]}
        except (ValueError, LookupError, TypeError) as error:
            raise BadDataError(
                f"{manifest} must list the files of a finished run.",
                "It is damaged.",
                "Run imdb-classifier score again: it keeps finished files and rewrites the list.",
            ) from error
        return said

    @property
    def is_single_file(self) -> bool:
        """Whether it is a scored file."""
        return self.source is None

    def paths(self) -> dict[str, str]:
        """Where each scored file is that exists, by its name."""
        return {
            printable(name): os.path.join(self._root, name)
            for name in self._found
            if printable(name) in self.files or (is_parquet(name) and not is_hidden(name))
        }
