"""What says that a folder of scored files is complete: ``_MANIFEST.json``, then ``_SUCCESS``."""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from imdb_classifier.batch.inputs.discovery import Discovery, quarantine_of
from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.batch.outputs.drift_report import DRIFT_FILE, drift_file, state_of_report
from imdb_classifier.batch.outputs.provenance import (
    foreign,
)
from imdb_classifier.batch.outputs.quarantine import Quarantine
from imdb_classifier.batch.results import COUNTS, FileResult, RunResult
from imdb_classifier.errors import OutputExistsError, printable
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.storage import storage_of
from imdb_classifier.storage.files import json_pieces
from imdb_classifier.storage.paths import is_remote
from imdb_classifier.system_errors import cannot_write

RUN_MANIFEST_FILE: Final = "_MANIFEST.json"
SUCCESS_FILE: Final = "_SUCCESS"
_MANIFEST_KEYS: Final = frozenset(
    (
        "input",
        "model_id",
        "model_hash",
        "options",
        "totals",
        "files",
        "bad_files",
        "skipped",
        "orphans",
    )
)
_MANIFEST_BEGIN: Final = '{\n  "bad_files": ['


@dataclass(frozen=True)
class EarlierRun:
    """What a folder says about the last run that wrote to it.

    Attributes:
        source: The input of that run; None if there was no such run.
        names: All outputs that it and earlier runs over that input may have written.
        is_complete: Whether the folder is declared complete.
    """

    source: str | None = None
    names: frozenset[str] = frozenset()
    is_complete: bool = False

    @classmethod
    def find(cls, discovery: Discovery, output: str, names: Container[str]) -> Self:
        """Read what an output says, and make sure that no other program has declared it complete.

        Args:
            discovery: What the input consists of; of a single file, nothing is said.
            output: The output.
            names: The files in it, if it is a folder.

        Raises:
            OutputExistsError: It has a ``_SUCCESS``, ``_MANIFEST.json`` or ``_DRIFT.json`` that
                imdb-classifier did not write.
            CannotWriteError: One of them cannot be read.
        """
        if discovery.root is None:
            state_of_report(drift_file(discovery.files[0].target, False))
            return cls()
        state_of_report(drift_file(output, True))
        if RUN_MANIFEST_FILE not in names:
            # A manifest is written before its _SUCCESS.
            if SUCCESS_FILE in names:
                raise foreign(posixpath.join(output, SUCCESS_FILE))
            return cls()
        manifest = posixpath.join(output, RUN_MANIFEST_FILE)
        try:
            # Of what it says about each file, only the name is kept.
            said = read_manifest(manifest, lambda values: values.get("name", values))
        except OSError as error:
            raise cannot_write(manifest, error) from error
        is_complete = SUCCESS_FILE in names
        try:
            names_said = frozenset(said["files"]).union(said["orphans"]) if said else frozenset()
            return cls(said["input"] if said else None, names_said, is_complete)
        except (LookupError, TypeError):
            return cls(is_complete=is_complete)

    def scored(self, source: str) -> bool:
        """Return whether that run had this input, however it is spelled."""
        return self.source is not None and _place(printable(source)) == _place(self.source)


def _place(source: str) -> str:
    """Return the place that an input means, to compare it with another."""
    absolute = storage_of(source).absolute(source).rstrip("/")
    return absolute if is_remote(absolute) else os.path.realpath(absolute)


def read_manifest(
    path: str, reduced: Callable[[dict[str, Any]], Any] | None = None
) -> dict[str, Any] | None:
    """Return a manifest; None if it is damaged.

    Args:
        path: The file.
        reduced: Returns what to keep of each object in it, while it is read.

    Raises:
        OutputExistsError: Another program wrote it.
    """
    try:
        content = storage_of(path).read_text(path)
    except UnicodeDecodeError:
        raise foreign(path) from None
    try:
        said = json.loads(content, object_hook=reduced)
    except (ValueError, RecursionError):
        said = None
    if isinstance(said, dict) and said.keys() >= _MANIFEST_KEYS:
        return said
    # A power failure may leave the beginning of it, or zeros.
    if said is None and _MANIFEST_BEGIN.startswith(content.rstrip("\0")[: len(_MANIFEST_BEGIN)]):
        return None
    raise foreign(path)


def announce(output: str, source: str, files: Iterable[str], earlier: EarlierRun) -> None:
    """List in a folder what a run may write, before it does.

    Otherwise, nobody could tell that an output of an interrupted run has lost its input.

    Args:
        output: The folder.
        source: What is scored, as the user named it.
        files: Names of all files in it.
        earlier: What the folder says so far.

    Raises:
        CannotWriteError: The folder cannot be written.
    """
    names = set(files)
    if earlier.scored(source):
        if names <= earlier.names:
            return
        names |= earlier.names
    listed = [{"name": name} for name in sorted(names)]
    manifest = posixpath.join(output, RUN_MANIFEST_FILE)
    try:
        storage_of(output).write_pieces(manifest, _described(source, {"files": listed}))
    except OSError as error:
        raise cannot_write(output, error) from error


def _described(
    source: str, values: Mapping[str, Any], default: Callable[[Any], object] | None = None
) -> Iterator[str]:
    """Yield the text of a manifest in pieces, see `json_pieces`."""
    absolute = printable(storage_of(source).absolute(source))
    unknown = dict.fromkeys(_MANIFEST_KEYS)
    described = {**unknown, "bad_files": [], "orphans": [], "input": absolute, **values}
    return json_pieces(described, default)


def unpublish(output: str) -> None:
    """Mark a folder as incomplete, until `publish`; its manifest stays until then.

    Raises:
        CannotWriteError: The folder cannot be written.
    """
    try:
        for name in (SUCCESS_FILE, DRIFT_FILE):
            storage_of(output).delete(posixpath.join(output, name))
    except OSError as error:
        raise cannot_write(output, error) from error


def unpublish_within(output: str, names: Iterable[str]) -> None:
    """Mark the folders in a folder as incomplete that earlier runs completed.

    Args:
        output: The folder.
        names: The files in it.

    Raises:
        CannotWriteError: One of them cannot be written.
    """
    for name in names:
        if name.endswith(f"/{SUCCESS_FILE}"):
            _unpublish_ours(posixpath.join(output, posixpath.dirname(name)))


def unpublish_around(target: str) -> None:
    """Mark every folder around an output as incomplete that an earlier run completed.

    Raises:
        CannotWriteError: One of them cannot be written.
    """
    folder = posixpath.dirname(storage_of(target).absolute(target).rstrip("/"))
    while is_remote(folder) == is_remote(target) and posixpath.dirname(folder) != folder:
        _unpublish_ours(folder)
        folder = posixpath.dirname(folder)


def _unpublish_ours(folder: str) -> None:
    """Mark a folder as incomplete if an earlier run completed it, and not another program."""
    storage = storage_of(folder)
    success, manifest = (posixpath.join(folder, n) for n in (SUCCESS_FILE, RUN_MANIFEST_FILE))
    try:
        if storage.kind(success) == "file" and storage.kind(manifest) == "file":
            read_manifest(manifest)
            unpublish(folder)
    except OutputExistsError:
        pass
    except OSError as error:
        raise cannot_write(folder, error) from error


def publish(
    output: str, source: str, bundle: Bundle, options: ScoreOptions, result: RunResult
) -> None:
    """Mark a folder as complete.

    Nothing in the manifest differs between two runs over the same input and output.

    Args:
        output: The folder.
        source: What was scored, as the user named it.
        bundle: The model that scored all of it.
        options: Columns, and rows without text.
        result: What happened to its files.

    Raises:
        CannotWriteError: The folder cannot be written.
    """
    finished = [file for file in result.files if file.is_finished]
    expected = result.output_drift and result.output_drift.expected_accuracy
    counts = COUNTS if options.at_least is None else (*COUNTS, "unsure")
    manifest = {
        "model_id": bundle.model_id,
        "model_hash": bundle.model_hash,
        "options": options.to_dict(),
        "totals": {
            "files": len(finished),
            **{column: sum(getattr(file, column) for file in finished) for column in counts},
        },
        "expected_accuracy": expected and asdict(expected),
        "files": finished,
        "bad_files": [{"name": file.name, "error": file.error} for file in result.failed],
        "skipped": [file.name for file in result.of_status("skipped")],
        "orphans": [] if result.pruned else list(result.orphans),
    }

    def described(file: FileResult) -> dict[str, Any]:
        # A footer's digest covers the whole file: it has checksums of everything before it.
        return {
            "name": file.name,
            **{column: getattr(file, column) for column in counts},
            "footer_digest": file.footer_digest,
        }

    storage = storage_of(output)
    path, success = (posixpath.join(output, name) for name in (RUN_MANIFEST_FILE, SUCCESS_FILE))
    try:
        # Programs may wait for a new _SUCCESS, so nothing is written that is there already.
        if not storage.has_text(path, _described(source, manifest, described)):
            storage.write_pieces(path, _described(source, manifest, described))
        if storage.kind(success) != "file":
            storage.write_text(success, "")
    except OSError as error:
        raise cannot_write(output, error) from error


def prune(output: str, orphans: Iterable[str]) -> None:
    """Delete outputs whose input no longer exists, and their quarantine.

    Args:
        output: The folder.
        orphans: Their names; all of them were written by imdb-classifier.

    Raises:
        CannotWriteError: The folder cannot be written.
    """
    try:
        for name in orphans:
            # Without anything to list, an earlier list is deleted; one of others is kept.
            with suppress(OutputExistsError), Quarantine(quarantine_of(output, name), name):
                pass
            storage_of(output).delete(posixpath.join(output, name))
    except OSError as error:
        raise cannot_write(output, error) from error
