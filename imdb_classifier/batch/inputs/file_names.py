"""What the names of files say: whether they are data, and the Hive partition of their rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from imdb_classifier.batch.inputs.other_formats import is_other_format
from imdb_classifier.errors import counted, listed, printable, spelled
from imdb_classifier.storage import Listing

PARQUET_SUFFIXES: Final = (".parquet", ".parq", ".pq")
"""Endings, in any case, of the names that are read in a folder."""
QUARANTINE: Final = "_quarantine"
"""Folder in the output that lists rows and files that could not be scored."""

_SUFFIXES: Final = f"{', '.join(PARQUET_SUFFIXES[:-1])} or {PARQUET_SUFFIXES[-1]}"
_HIDDEN: Final = "is hidden: its name or a folder's starts with '.' or '_'"
_NOT_PARQUET: Final = "is not Parquet, by its name"
_NAMES_SHOWN: Final = 3


@dataclass(frozen=True)
class IgnoredFile:
    """A file of the input that might be data and is not scored.

    Attributes:
        name: Its path relative to the input, with forward slashes, for reports.
        reason: Why, as the end of a sentence that begins with the name.
    """

    name: str
    reason: str


def is_parquet(name: str) -> bool:
    """Return whether a name ends like that of a Parquet file."""
    return name.lower().endswith(PARQUET_SUFFIXES)


def is_hidden(name: str) -> bool:
    """Return whether a relative path is ignored, as by Spark.

    A name that starts with ``_`` and contains ``=`` is not: it is a Hive partition.
    """
    return any(
        part.startswith(".") or (part.startswith("_") and "=" not in part)
        for part in name.split("/")
    )


def hive_keys(name: str) -> set[str]:
    """Return the keys of the Hive partition folders in a relative path, such as ``day``."""
    folders = name.split("/")[:-1]
    return {unquote(folder.partition("=")[0]) for folder in folders if "=" in folder}


def choose_files(
    listing: Listing, source: str, *, is_folder: bool
) -> tuple[list[str], tuple[IgnoredFile, ...]]:
    """Return the names of the files to score, and the ignored ones that might be data.

    Args:
        listing: The files of the input.
        source: The input.
        is_folder: Whether it is a folder. A glob pattern may match any name that is not hidden.
    """
    pattern = f"{source.rstrip('/')}/**/*"
    other_suffix = f"does not end in {_SUFFIXES}; the pattern '{pattern}' reads any name"
    chosen: list[str] = []
    reasons = {name: why for name, why in listing.ignored.items() if not is_hidden(name)}
    for name in listing.names:
        if is_hidden(name):
            # Other hidden files are what programs note for themselves.
            if is_parquet(name) and not name.startswith(f"{QUARANTINE}/"):
                reasons[name] = _HIDDEN
        elif not is_folder or is_parquet(name):
            chosen.append(name)
        else:
            reasons[name] = _NOT_PARQUET if is_other_format(name) else other_suffix
    ignored = (IgnoredFile(spelled(name), printable(why)) for name, why in reasons.items())
    return chosen, tuple(sorted(ignored, key=lambda file: file.name))


def ignored_summary(ignored: Iterable[IgnoredFile]) -> str:
    """Return how many files are ignored, with a few names for each reason, or "" for none.

    Example:
        >>> ignored_summary([IgnoredFile("a.tmp.parquet", "is a pipe")])
        '1 file ignored: a.tmp.parquet (is a pipe)'
    """
    names: dict[str, list[str]] = {}
    for file in ignored:
        names.setdefault(file.reason, []).append(file.name)
    if not names:
        return ""
    groups = (f"{listed(found, _NAMES_SHOWN)} ({reason})" for reason, found in names.items())
    return f"{counted(sum(map(len, names.values())), 'file')} ignored: {'; '.join(groups)}"
