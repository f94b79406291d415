"""What scoring wrote into a file's footer, and whether the file can stay as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Literal, Self

import pyarrow.parquet as pq

from imdb_classifier.batch.wording import cannot_write
from imdb_classifier.errors import ConfigurationError, OutputExistsError
from imdb_classifier.schema import FOOTER_KEY
from imdb_classifier.storage import readable, storage_of

_PIECE_BYTES: Final = 1 << 20

CAME_FROM: Final[Mapping[str, str]] = {
    "model_hash": "another model ({model_id})",
    "options": "other options",
    "input_sha256": "an older state of the input",
}
"""What decides an output. A newer release of the package gives the same scores from the same model,
so its version does not."""


@dataclass(frozen=True)
class Selection:
    """Which files of an input are scored, by what is there already.

    Attributes:
        new: Those without an output.
        stale: What becomes of those whose output an older model, input or options gave.
        finished: Whether those are scored anew whose output is what would be written.
    """

    new: bool = True
    stale: Literal["refuse", "leave", "replace"] = "refuse"
    finished: bool = False

    @classmethod
    def of(cls, only: str | None, *, force: bool = False) -> Self:
        """A selection as users name it.

        Args:
            only: ``new``, ``stale``, or both with a comma; None for new files, and an error where
                there is a stale one.
            force: All files, finished ones as well.

        Raises:
            ConfigurationError: `only` names something else, or both are given.
        """
        if force and only is None:
            return cls(stale="replace", finished=True)
        named = {name.strip() for name in (only or "new").split(",")}
        if force or not named <= {"new", "stale"}:
            raise ConfigurationError(
                "Only new or stale files can be asked for, and not together with force.",
                f"--only {only}{' and --force' if force else ''} was asked for.",
                "Say --only new, --only stale, --only new,stale, or --force.",
            )
        if only is None:
            return cls()
        return cls("new" in named, "replace" if "stale" in named else "leave")


def read_metadata(path: str) -> pq.FileMetaData:
    """What a Parquet file's footer says of the file.

    A column chunk's part of it is not to be asked for: where it is damaged or encrypted, pyarrow
    ends the process.

    Raises:
        UnreadableFileError: The file is not Parquet, is damaged, or cannot be read.
    """
    with readable(path), storage_of(path).open(path) as file:
        return pq.read_metadata(file)


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


def finished(
    target: str, origin: Mapping[str, Any], selection: Selection
) -> Literal["left"] | dict[str, Any] | None:
    """The footer of an output that stays, "left" where a file is not asked for, None to score it.

    Args:
        target: The output.
        origin: What the footer would say of model, options and input.
        selection: Which files are asked for.

    Raises:
        OutputExistsError: The output exists and may not be replaced.
    """
    try:
        there = storage_of(target).kind(target)
    except OSError as error:
        raise cannot_write(target, error) from error
    if there is None:
        return None if selection.new else "left"
    footer = read_footer(target)
    if footer is None:
        raise OutputExistsError(target, "imdb-classifier did not write it", "Name another OUTPUT.")
    changed = [key for key in CAME_FROM if footer.get(key) != origin[key]]
    if not changed:
        return None if selection.finished else footer
    if selection.stale == "refuse":
        came_from = (CAME_FROM[key].format(model_id=footer.get("model_id")) for key in changed)
        raise OutputExistsError(
            target,
            f"it was scored from {' and '.join(came_from)}",
            "Replace such outputs with --only new,stale, or name another OUTPUT.",
        )
    return None if selection.stale == "replace" else "left"
