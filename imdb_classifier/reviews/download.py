"""Downloads the published files of the IMDB reviews into the cache."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from imdb_classifier.errors import (
    CannotWriteError,
    ChecksumError,
    DownloadError,
    MissingExtraError,
    first_line,
)
from imdb_classifier.reviews.sources import PublishedSource, cache_folder, published_files

_TIMEOUT_SECONDS: Final = 60
_CHUNK_BYTES: Final = 1 << 18


def fetch(source: PublishedSource) -> Path:
    """Download what the cache lacks, checked against the published checksums.

    Nothing else in this library downloads anything. A file appears under its name only once it is
    complete and verified; one that is there and intact is kept. Progress is shown on standard error
    if that is a terminal.

    Args:
        source: ``keras`` (19 MB) or ``aclimdb`` (84 MB).

    Returns:
        ``aclimdb``: the archive. ``keras``: the folder that holds both files.

    Raises:
        DownloadError: The server cannot be reached, refuses, or stops half-way.
        ChecksumError: What the server sends is not the published file.
        CannotWriteError: The cache folder cannot be written.
        MissingExtraError: The package pooch is not installed.
    """
    try:
        import pooch
        from requests import RequestException
    except ImportError as error:
        raise MissingExtraError("Downloading reviews", "pooch", "train") from error
    folder = cache_folder(source)
    downloader = pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(), chunk_size=_CHUNK_BYTES, timeout=_TIMEOUT_SECONDS
    )
    for file in published_files(source):
        target = folder / file.name
        try:
            pooch.retrieve(
                file.url, f"{file.algorithm}:{file.digest}", file.name, folder, None, downloader
            )
        except RequestException as error:
            raise DownloadError(file.url, first_line(error), str(target)) from error
        except ValueError as error:
            raise ChecksumError(
                f"What {file.url} sends",
                file.digest,
                "another one",
                "Nothing was kept; try again, or put the published file in place yourself.",
            ) from error
        except OSError as error:
            raise CannotWriteError(
                "The cache folder must be writable.",
                f"{target} cannot be written: {error.strerror or error}.",
                "Make room or access, or name another folder with KERAS_HOME (Keras' files) or "
                "XDG_CACHE_HOME (Linux).",
            ) from error
    return folder if source == "keras" else target
