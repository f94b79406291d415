"""The published files, their place in the cache, and the status of every source."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from imdb_classifier.errors import ChecksumError, NoInputError
from imdb_classifier.storage.paths import home_expanded, location_of, user_folder

PublishedSource = Literal["keras", "aclimdb"]

DATA_VARIABLE: Final = "IMDB_CLASSIFIER_DATA"
"""Environment variable for the location of the reviews, unless ``data`` is given."""


class NoReviewsError(NoInputError):
    """No IMDB reviews are configured, and none are cached."""

    def __init__(self, missing: str, cache: str) -> None:
        super().__init__(
            "Training and evaluation need the IMDB reviews.",
            f"{missing}, and nothing is downloaded automatically.",
            "Do one of the following: set `data` or IMDB_CLASSIFIER_DATA to a local copy; "
            "download it once with `imdb-classifier data fetch`; "
            f"or put the published file into {cache} yourself.",
        )


@dataclass(frozen=True)
class PublishedFile:
    """A file that its publisher offers for download.

    Attributes:
        name: Its file name, also in the cache.
        url: Its address.
        algorithm: Algorithm of the published checksum: ``sha256`` or ``md5``.
        digest: The published checksum, hexadecimal.
    """

    name: str
    url: str
    algorithm: Literal["sha256", "md5"]
    digest: str


IMDB_TEST_FINGERPRINT: Final = "5214014620cb565a481a3e544d7e2bd630bc41952e192e8e7aed9e0cb3e145aa"
"""`Reviews.fingerprint` of the test split of the IMDB reviews, in the order of the archive."""

# SHA-256: tensorflow/datasets, tensorflow_datasets/url_checksums/imdb_reviews.txt; pytorch/text,
# torchtext/datasets/imdb.py has the MD5 of the same file (7c2ac02c03563afcf9b574c7e56c153a).
ACLIMDB: PublishedFile = PublishedFile(
    name="aclImdb_v1.tar.gz",
    url="https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
    algorithm="sha256",
    digest="c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
)

# Both checksums: keras-team/keras, keras/src/datasets/imdb.py. For the word index, only the MD5 is
# published.
KERAS_IDS: PublishedFile = PublishedFile(
    name="imdb.npz",
    url="https://storage.googleapis.com/tensorflow/tf-keras-datasets/imdb.npz",
    algorithm="sha256",
    digest="69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f",
)
KERAS_WORDS: PublishedFile = PublishedFile(
    name="imdb_word_index.json",
    url="https://storage.googleapis.com/tensorflow/tf-keras-datasets/imdb_word_index.json",
    algorithm="md5",
    digest="bfafd718b763782e994055a2d397834f",
)


@dataclass(frozen=True)
class SourceStatus:
    """The status of one source of reviews.

    Attributes:
        source: ``IMDB_CLASSIFIER_DATA``, ``aclimdb`` or ``keras``.
        location: Path or URI.
        state: ``configured`` (not checked), ``cached`` (checksum verified), ``missing`` or
            ``damaged``.
        size: Bytes on disk; None if that is unknown or nothing is there.
    """

    source: str
    location: str
    state: Literal["configured", "cached", "missing", "damaged"]
    size: int | None


def cache_folder(source: PublishedSource) -> Path:
    """Return the folder in which the files of a source are cached.

    Args:
        source: ``keras`` for Keras' own folder, below ``KERAS_HOME`` or ``~/.keras``; ``aclimdb``
            for the platform's cache folder.
    """
    if source == "keras":
        return Path(home_expanded(os.environ.get("KERAS_HOME", "~/.keras")), "datasets")
    return Path(user_folder("cache"))


def published_files(source: PublishedSource) -> tuple[PublishedFile, ...]:
    """Return the files of a source; for ``keras``, the ids and then the word index."""
    return (KERAS_IDS, KERAS_WORDS) if source == "keras" else (ACLIMDB,)


def cached_files(source: PublishedSource) -> tuple[Path, ...]:
    """Return the cached files of a source, in the order of `published_files`, after verification.

    Raises:
        NoReviewsError: A file is not in the cache.
        ChecksumError: A file does not have its published checksum.
    """
    folder = cache_folder(source)
    files = {file: folder / file.name for file in published_files(source)}
    missing = [file.name for file, path in files.items() if not path.is_file()]
    if missing:
        raise NoReviewsError(f"There is no {' and no '.join(missing)} in {folder}", str(folder))
    for file, path in files.items():
        with path.open("rb") as stream:
            received = hashlib.file_digest(stream, file.algorithm).hexdigest()
        if received != file.digest:
            raise ChecksumError(str(path), file.digest, received)
    return tuple(files.values())


def describe_sources() -> list[SourceStatus]:
    """Return the status of every source of reviews, without downloading anything."""
    rows = []
    if configured := os.environ.get(DATA_VARIABLE):
        path = Path(location_of(configured))
        files = [path] if path.is_file() else path.rglob("*")
        size = sum(file.stat().st_size for file in files if file.is_file())
        rows.append(SourceStatus(DATA_VARIABLE, configured, "configured", size or None))
    sources: tuple[PublishedSource, ...] = get_args(PublishedSource)
    for source in sources:
        folder = cache_folder(source)
        try:
            size = sum(path.stat().st_size for path in cached_files(source))
            rows.append(SourceStatus(source, str(folder), "cached", size))
        except NoReviewsError:
            rows.append(SourceStatus(source, str(folder), "missing", None))
        except ChecksumError:
            rows.append(SourceStatus(source, str(folder), "damaged", None))
    return rows
