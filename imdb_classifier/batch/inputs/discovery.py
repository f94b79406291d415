"""Discovery: which Parquet files an input consists of, and where the scored copy of each goes."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from imdb_classifier.batch.inputs.delta_table import DELTA_LOG, live_files
from imdb_classifier.batch.inputs.file_names import (
    QUARANTINE,
    IgnoredFile,
    choose_files,
    ignored_summary,
    is_parquet,
)
from imdb_classifier.batch.inputs.other_formats import check_formats, is_other_format
from imdb_classifier.batch.inputs.table_formats import check_tables
from imdb_classifier.errors import CannotWriteError, NoInputError, spelled
from imdb_classifier.storage import SUFFIX, Kind, is_remote, matches, static_part, storage_of
from imdb_classifier.storage.paths import StrPath, location_of, side_stem_of
from imdb_classifier.system_errors import cannot_read, cannot_write

_LIST: Final = ".csv"
"""What follows the name of a file in that of its list in the quarantine."""


@dataclass(frozen=True, slots=True)
class DiscoveredFile:
    """One input file and its output.

    There may be a million of them, so they share the folders and hold no whole paths.

    Attributes:
        source_folder: The folder that is scored, or that the single file is in; it ends in a slash
            or is empty.
        source_name: The file's path relative to it.
        target_folder: The folder that scored copies go to, like `source_folder`.
        target_name: The path of the file's scored copy relative to it.
    """

    source_folder: str
    source_name: str
    target_folder: str
    target_name: str

    @property
    def source(self) -> str:
        """The file to score."""
        return self.source_folder + self.source_name

    @property
    def target(self) -> str:
        """Where its scored copy goes."""
        return self.target_folder + self.target_name

    @property
    def name(self) -> str:
        """Its path relative to the input, with forward slashes, for reports."""
        return spelled(self.source_name)

    @property
    def quarantine(self) -> str:
        """Where to list its rows that cannot be scored, with `ScoreOptions.quarantine`."""
        return quarantine_of(self.target_folder, self.target_name)


@dataclass(frozen=True)
class Discovery:
    """What an input consists of.

    Attributes:
        root: The folder that names are relative to; None for a single file.
        files: The files to score, sorted by name.
        ignored: The files that might be data and are not scored, sorted by name.
    """

    root: str | None
    files: tuple[DiscoveredFile, ...]
    ignored: tuple[IgnoredFile, ...] = ()


def discover_files(source: str, output: str) -> Discovery:
    """Return the files of an input, each with its output.

    Input and output are locations, on this machine or in an object store.

    Args:
        source: A Parquet file; a folder, including its subfolders (Hive partitions such as
            ``day=2026-11-01`` are kept); or a glob pattern such as ``reviews/**/*.parquet``. In
            folders, names must end in ``.parquet``, ``.parq`` or ``.pq``. Hidden names, which start
            with ``.``, or with ``_`` and have no ``=``, are ignored, as in Spark. Of a Delta
            table's folder, only live files are scored.
        output: For a file, the file to write, or a folder if the name does not end in ``.parquet``;
            otherwise a folder.

    Raises:
        NoInputError: There is no such file or folder, or no Parquet file in it.
        UnavailableError: The input cannot be reached.
        MissingExtraError: It is a Delta table, and the extra ``delta`` is not installed.
        BadDataError: It has only files in other formats, or is or has a table
            whose rows cannot be told from its files.
        CannotWriteError: An output would be inside the input, or a folder is needed and the output
            is a file.
    """
    root, names, ignored = _found(source)
    if root is None:
        return Discovery(None, (_single_file(source, output),))
    if output.endswith(SUFFIX) or _kind_of_output(output) == "file":
        raise CannotWriteError(
            "`source` is a folder or a glob pattern, so `output` must be a folder.",
            f"{output} names a file.",
            "Choose a folder as `output`.",
        )
    pattern = "**" if root == source else posixpath.relpath(source, root or ".")
    sources, targets = posixpath.join(root, ""), posixpath.join(output, "")
    files = tuple(DiscoveredFile(sources, name, targets, name) for name in names)
    _check_apart(root, pattern, files, source)
    return Discovery(root, files, ignored)


def find_files(source: StrPath) -> list[tuple[str, str]]:
    """Return the files of an input, sorted by name: location and name of each, spelled out.

    Args:
        source: See `discover_files`.

    Raises:
        ImdbClassifierError: See `discover_files`.
    """
    source = location_of(source)
    root, names, _ = _found(source)
    if root is None:
        return [(source, spelled(posixpath.basename(source)))]
    return [(posixpath.join(root, name), spelled(name)) for name in names]


def _found(source: str) -> tuple[str | None, list[str], tuple[IgnoredFile, ...]]:
    """Return the root folder and, relative to it, names to score and files that are ignored.

    For a single file, return None and no names.
    """
    storage = storage_of(source)
    try:
        kind = storage.kind(source)
        if kind == "file":
            check_formats("", [source])
            return None, [], ()
        if kind == "folder" and storage.kind(posixpath.join(source, DELTA_LOG)) == "folder":
            return source, live_files(source), ()
        root = source if kind == "folder" else static_part(source)
        listing = storage.find(source) if kind == "folder" else storage.match(source)
        names, ignored = choose_files(listing, source, is_folder=kind == "folder")
        check_tables(source, root, names, listing.folders)
    except OSError as error:
        raise cannot_read(source, error) from error
    check_formats(root, names or [file.name for file in ignored])
    if not names:
        found = "contains no Parquet file" if kind == "folder" else "matches no file"
        summary = ignored_summary(ignored)
        raise NoInputError(
            "The input must be a Parquet file, a folder of them, or a glob pattern.",
            f"{source} {found}{summary and f'; {summary}'}.",
            "Check the path and the names.",
        )
    return root, names, ignored


def _single_file(source: str, output: str) -> DiscoveredFile:
    folder, name = _split(source)
    kind = _kind_of_output(output)
    to_file = output.endswith(SUFFIX) and kind != "folder"
    looks_like_file = is_parquet(output) or is_other_format(output)
    if kind != "folder" and not to_file and looks_like_file:
        raise CannotWriteError(
            "The output of a file must be a folder or a name that ends in .parquet.",
            f"It is {output}.",
            "Choose another `output`.",
        )
    target = output if to_file else posixpath.join(output, name)
    file = DiscoveredFile(folder, name, *_split(target))
    _check_apart(source, ".", [file], source)
    return file


def _split(path: str) -> tuple[str, str]:
    """Return the folder of a path, up to its slash, and the name in it."""
    end = path.rfind("/") + 1
    return path[:end], path[end:]


def quarantine_of(folder: str, name: str) -> str:
    """Return where to list what could not be scored for an output, by its name in a folder."""
    inner, file = posixpath.split(name)
    return posixpath.join(folder, QUARANTINE, inner, f"{side_stem_of(file, _LIST)}{_LIST}")


def _kind_of_output(output: str) -> Kind | None:
    try:
        return storage_of(output).kind(output)
    except OSError as error:
        raise cannot_write(output, error) from error


def _check_apart(root: str, pattern: str, files: Sequence[DiscoveredFile], source: str) -> None:
    """Make sure that no output is one of the files that a pattern below a root means."""
    outer = _resolved(root)
    folders: dict[str, str] = {}
    for file in files:
        folder, name = posixpath.split(file.target)
        if folder not in folders:
            folders[folder] = _resolved(folder)
        inner = posixpath.join(folders[folder], name)
        inside = inner == outer or inner.startswith(outer.rstrip("/") + "/")
        if inside and matches(posixpath.relpath(inner, outer), pattern):
            raise CannotWriteError(
                "The output must lie outside the input, or the next run would score it too.",
                f"{file.target} is part of {source}.",
                "Choose another `output`.",
            )


def _resolved(path: str) -> str:
    """Return a path without symbolic links."""
    return path if is_remote(path) else os.path.realpath(path)
