"""The published files of the IMDB reviews: where they are cached, and how they get there.

`fetch` is the only function of this library that downloads anything.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import secrets
import urllib.request
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import platformdirs
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from imdb_classifier.errors import CannotWriteError, ChecksumError, DownloadError, NoReviewsError

PublishedSource = Literal["keras", "aclimdb"]

_CHUNK_BYTES: Final = 1 << 18
_TIMEOUT_SECONDS: Final = 60
_TRY_AGAIN: Final = "Nothing was kept; try again, or put the published file in place yourself."
_CACHE_VARIABLES: Final = "KERAS_HOME (Keras' files) or XDG_CACHE_HOME (Linux)"


@dataclass(frozen=True)
class PublishedFile:
    """A file as its publisher offers it.

    Attributes:
        name: File name, the same in the cache.
        url: Where it is published.
        size: Length in bytes.
        algorithm: ``sha256`` or ``md5``, whichever is published.
        digest: The published checksum, hexadecimal.
    """

    name: str
    url: str
    size: int
    algorithm: Literal["sha256", "md5"]
    digest: str


# Size and SHA-256: tensorflow/datasets, tensorflow_datasets/url_checksums/imdb_reviews.txt;
# pytorch/text, torchtext/datasets/imdb.py has the MD5 of the same file
# (7c2ac02c03563afcf9b574c7e56c153a).
ACLIMDB: PublishedFile = PublishedFile(
    name="aclImdb_v1.tar.gz",
    url="https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
    size=84_125_825,
    algorithm="sha256",
    digest="c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
)

# Both checksums: keras-team/keras, keras/src/datasets/imdb.py. MD5 is all that is published for
# the word index.
KERAS_IDS: PublishedFile = PublishedFile(
    name="imdb.npz",
    url="https://storage.googleapis.com/tensorflow/tf-keras-datasets/imdb.npz",
    size=17_464_789,
    algorithm="sha256",
    digest="69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f",
)
KERAS_WORDS: PublishedFile = PublishedFile(
    name="imdb_word_index.json",
    url="https://storage.googleapis.com/tensorflow/tf-keras-datasets/imdb_word_index.json",
    size=1_641_221,
    algorithm="md5",
    digest="bfafd718b763782e994055a2d397834f",
)


def cache_folder(source: PublishedSource) -> Path:
    """Where the files of a source are kept.

    Args:
        source: ``keras``: the folder in which Keras itself looks, under ``KERAS_HOME`` or
            ``~/.keras``. ``aclimdb``: the platform's cache folder.
    """
    if source == "keras":
        return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "datasets"
    return platformdirs.user_cache_path("imdb-classifier")


def published_files(source: PublishedSource) -> tuple[PublishedFile, ...]:
    """The files that make up a source; ``keras``: first the ids, then the word index."""
    return (KERAS_IDS, KERAS_WORDS) if source == "keras" else (ACLIMDB,)


def cached_files(source: PublishedSource) -> tuple[Path, ...]:
    """The cached files of a source, in the order of `published_files`, their checksums verified.

    Raises:
        NoReviewsError: One of them is not in the cache.
        ChecksumError: One of them is not the published file.
    """
    folder = cache_folder(source)
    files = published_files(source)
    missing = [file.name for file in files if not (folder / file.name).is_file()]
    if missing:
        raise NoReviewsError(f"There is no {' and no '.join(missing)} in {folder}", str(folder))
    for file in files:
        received = file_digest(folder / file.name, file.algorithm)
        if received != file.digest:
            raise ChecksumError(str(folder / file.name), file.digest, received)
    return tuple(folder / file.name for file in files)


def file_digest(path: Path, algorithm: str) -> str:
    """The hexadecimal checksum of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(
            stream, lambda: hashlib.new(algorithm, usedforsecurity=False)
        ).hexdigest()


def fetch(source: PublishedSource) -> Path:
    """Download what the cache lacks, checked against the published checksums.

    A file appears under its name only once it is complete and verified; one that is there and
    intact is kept. Progress is shown on standard error if that is a terminal.

    Args:
        source: ``keras`` (19 MB) or ``aclimdb`` (84 MB).

    Returns:
        ``aclimdb``: the archive. ``keras``: the folder that holds both files.

    Raises:
        DownloadError: The server cannot be reached, refuses, or stops half-way.
        ChecksumError: What the server sends is not the published file.
        CannotWriteError: The cache folder cannot be written.
    """
    folder = cache_folder(source)
    for file in published_files(source):
        target = folder / file.name
        if not (target.is_file() and file_digest(target, file.algorithm) == file.digest):
            _download(file, target)
    return folder if source == "keras" else folder / ACLIMDB.name


def _download(file: PublishedFile, target: Path) -> None:
    # Concurrent fetches must not write into the same file.
    partial = target.with_name(f".{file.name}.{secrets.token_hex(8)}.part")
    digest = hashlib.new(file.algorithm, usedforsecurity=False)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("xb") as stream, closing(_chunks(file, target)) as chunks:
            for chunk in chunks:
                digest.update(chunk)
                stream.write(chunk)
            stream.flush()
            os.fsync(stream.fileno())
        if digest.hexdigest() != file.digest:
            raise ChecksumError(
                f"What {file.url} sends", file.digest, digest.hexdigest(), _TRY_AGAIN
            )
        os.replace(partial, target)
    except OSError as error:
        raise CannotWriteError(
            "The cache folder must be writable.",
            f"{target} cannot be written: {error.strerror or error}.",
            f"Make room or access, or name another folder with {_CACHE_VARIABLES}.",
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink()


def _chunks(file: PublishedFile, target: Path) -> Generator[bytes, None, None]:
    """The body, with progress; exactly as many bytes as were published, or an error."""
    received = 0
    try:
        with (
            urllib.request.urlopen(file.url, timeout=_TIMEOUT_SECONDS) as response,
            _progress() as progress,
        ):
            bar = progress.add_task(file.name, total=file.size)
            while chunk := response.read(_CHUNK_BYTES):
                received += len(chunk)
                if received > file.size:
                    raise ChecksumError(
                        f"What {file.url} sends",
                        file.digest,
                        f"more than the published {file.size:,} bytes",
                        _TRY_AGAIN,
                    )
                progress.advance(bar, len(chunk))
                yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(file.url, str(error) or type(error).__name__, str(target)) from error
    if received < file.size:
        reason = f"the connection ended after {received:,} of {file.size:,} bytes"
        raise DownloadError(file.url, reason, str(target))


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
