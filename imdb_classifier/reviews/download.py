"""Downloads of the published IMDB review files into the cache."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from imdb_classifier.errors import (
    CannotWriteError,
    ChecksumError,
    ImdbClassifierError,
    MissingExtraError,
    first_line,
)
from imdb_classifier.reviews.sources import (
    NoReviewsError,
    PublishedSource,
    cache_folder,
    published_files,
)
from imdb_classifier.system_errors import remedy

_TIMEOUT_SECONDS: Final = 60
_CHUNK_BYTES: Final = 1 << 18


class DownloadError(NoReviewsError):
    """Downloading a published file failed."""

    def __init__(self, url: str, reason: str, target: str) -> None:
        ImdbClassifierError.__init__(
            self,
            f"{url} must be reachable and send the complete file.",
            f"The download failed: {reason}; nothing was kept.",
            "Do one of the following: set `data` or IMDB_CLASSIFIER_DATA to a local copy; "
            "run `imdb-classifier data fetch` again; "
            f"or save the published file as {target} yourself.",
        )


def fetch(source: PublishedSource) -> Path:
    """Download the files that are missing from the cache, and verify their published checksums.

    Nothing else in this library downloads anything. A file gets its name only once it is complete
    and verified; intact cached files are kept. Progress is shown on standard error if that is a
    terminal.

    Args:
        source: ``keras`` (19 MB) or ``aclimdb`` (84 MB).

    Returns:
        The archive for ``aclimdb``, or the folder with both files for ``keras``.

    Raises:
        DownloadError: The server cannot be reached, returns an error, or disconnects early.
        ChecksumError: The downloaded file does not have the published checksum.
        CannotWriteError: The cache folder is not writable.
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
                f"The file at {file.url}",
                file.digest,
                "a different one",
                f"Nothing was kept. Retry, or save the published file as {target} yourself.",
            ) from error
        except OSError as error:
            raise CannotWriteError(
                "The cache folder must be writable.",
                f"{target} cannot be written: {error.strerror or error}.",
                f"{remedy(error)}, or set another folder with KERAS_HOME "
                "(Keras' files) or XDG_CACHE_HOME (Linux).",
            ) from error
    return folder if source == "keras" else target
