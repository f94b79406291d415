"""Faults of systems and servers are told from bad data: nobody has to write a file again."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier import storage
from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.batch.run import score_parquet
from imdb_classifier.batch.verification import verify_output
from imdb_classifier.errors import (
    CannotWriteError,
    ImdbClassifierError,
    NoInputError,
    UnavailableError,
    UnreadableFileError,
)
from imdb_classifier.registry.versions import Registry
from imdb_classifier.reviews.load import load_reviews
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.storage import LocalStorage, is_fault, storage_of
from imdb_classifier.storage.object_store import ObjectStorage

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def away(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URI of a bucket on a server that does not answer."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOWHERE)
    storage.object_storage.cache_clear()
    yield bucket
    storage.object_storage.cache_clear()


@pytest.fixture
def reviews(tmp_path: Path) -> str:
    numbers = range(10_000)
    table = pa.table({"text": [f"A fine film, number {number * 7_919:x}." for number in numbers]})
    pq.write_table(table, tmp_path / "in.parquet", compression="none")
    assert (tmp_path / "in.parquet").stat().st_size > 1 << 18
    return str(tmp_path / "in.parquet")


def assert_environment(error: ImdbClassifierError, exit_code: int = 69) -> None:
    assert (error.exit_code, error.may_pass) == (exit_code, True)
    assert "Recreate" not in str(error)
    assert {69: "and rerun", 73: "Free up space"}[exit_code] in str(error)


def test_a_server_that_does_not_answer(away: str, tmp_path: Path, scorer: Scorer) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: score_parquet(f"{away}/in", tmp_path / "out", scorer),
        lambda: score_parquet(f"{away}/*.parquet", tmp_path / "out", scorer),
        lambda: verify_output(f"{away}/out", scorer),
        lambda: load_reviews(f"{away}/imdb", "train"),
        lambda: Registry.at(f"{away}/models").load("@champion"),
    ]
    for call in calls:
        with pytest.raises(UnavailableError, match=r"readable.*Could not connect") as caught:
            call()
        assert caught.value.exit_code == 69


def test_an_output_on_a_server_that_does_not_answer(
    away: str, reviews: str, scorer: Scorer
) -> None:
    with pytest.raises(CannotWriteError, match="Could not connect") as caught:
        score_parquet(reviews, f"{away}/out.parquet", scorer)
    assert_environment(caught.value, 73)


class Broken(io.BytesIO):
    """A file on a disk that fails at its first bytes."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() < 1 << 16:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read(size)


@pytest.mark.parametrize("options", [ScoreOptions(), ScoreOptions(columns=["text"])])
def test_a_disk_that_fails_while_a_file_is_read(
    reviews: str, tmp_path: Path, scorer: Scorer, monkeypatch: pytest.MonkeyPatch, options: Any
) -> None:
    content = Path(reviews).read_bytes()
    opened = LocalStorage.open

    def broken(self: LocalStorage, path: str) -> pa.NativeFile:
        return pa.PythonFile(Broken(content), "r") if path == reviews else opened(self, path)

    monkeypatch.setattr(LocalStorage, "open", broken)
    with pytest.raises(UnavailableError, match="Input/output error") as caught:
        score_parquet(reviews, tmp_path / "out.parquet", scorer, options)
    assert_environment(caught.value)
    assert not (tmp_path / "out.parquet").exists()


class Cut(io.BytesIO):
    """A file whose connection breaks: what is missing does not arrive, and there is no error."""

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(size)
        return content if self.tell() < len(self.getvalue()) - 8 else content[:-8]


def test_bytes_that_do_not_arrive(
    reviews: str, tmp_path: Path, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = Path(reviews).read_bytes()
    monkeypatch.setattr(LocalStorage, "open", lambda *_: pa.PythonFile(Cut(content), "r"))
    with pytest.raises(UnavailableError, match="65,528 bytes arrived instead of 65,536") as caught:
        score_parquet(reviews, tmp_path / "out.parquet", scorer)
    assert_environment(caught.value)


@pytest.mark.parametrize("method", ["open", "state", "kind"])
def test_a_file_that_may_not_be_read(
    reviews: str, tmp_path: Path, scorer: Scorer, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    refused = getattr(LocalStorage, method)

    def refusing(self: LocalStorage, path: str) -> Any:
        if path == reviews:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return refused(self, path)

    monkeypatch.setattr(LocalStorage, method, refusing)
    with pytest.raises(UnavailableError, match=r"Permission denied\. Check your perm") as caught:
        score_parquet(reviews, tmp_path / "out.parquet", scorer)
    assert_environment(caught.value)


def test_wrong_bytes_are_no_fault_of_the_environment(
    reviews: str, tmp_path: Path, scorer: Scorer
) -> None:
    content = bytearray(Path(reviews).read_bytes())
    for position in (0, len(content) // 3, len(content) - 20):
        damaged = bytes([*content[:position], *b"\xff" * 12, *content[position + 12 :]])
        Path(reviews).write_bytes(damaged)
        with pytest.raises(UnreadableFileError, match="Recreate the file") as caught:
            score_parquet(reviews, tmp_path / "out.parquet", scorer)
        assert not caught.value.may_pass
    assert not is_fault(OSError("Corrupt snappy compressed data."))
    assert not is_fault(pa.ArrowInvalid("Couldn't deserialize thrift"))


@pytest.mark.parametrize(
    "fault",
    [
        # Azure without credentials, Google without a connection
        pa.ArrowException("Unknown error: Failed to get token from DefaultAzureCredential."),
        OSError("google::cloud::Status(UNAVAILABLE: Retry policy exhausted)"),
    ],
)
def test_what_clients_of_other_stores_raise(
    reviews: str, tmp_path: Path, scorer: Scorer, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    there = ObjectStorage(Mock(get_file_info=Mock(side_effect=fault)))
    monkeypatch.setattr(storage, "object_storage", lambda *_: there)
    with pytest.raises(UnavailableError, match=r"DefaultAzureCredential|UNAVAILABLE") as caught:
        score_parquet("abfs://container@account/in", tmp_path / "out", scorer)
    assert_environment(caught.value)
    with pytest.raises(CannotWriteError, match=r"DefaultAzureCredential|UNAVAILABLE") as refused:
        score_parquet(reviews, "abfs://container@account/out.parquet", scorer)
    assert_environment(refused.value, 73)
    assert is_fault(OSError(errno.EIO, "x"))
    assert is_fault(OSError("google::cloud::Status(UNAVAILABLE)"))


def test_a_bucket_that_does_not_exist_is_named(
    bucket: str, reviews: str, tmp_path: Path, scorer: Scorer
) -> None:
    for source in ("s3://no-such-bucket/in", "s3://no-such-bucket/**/*.parquet"):
        with pytest.raises(NoInputError, match=r"there is no bucket no-such-bucket\. Check the"):
            score_parquet(source, tmp_path / "out", scorer)
    with pytest.raises(CannotWriteError, match=r"failed: there is no bucket no-such-bucket\."):
        score_parquet(reviews, "s3://no-such-bucket/out.parquet", scorer)


@pytest.fixture
def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of temporary files, on a disk with no space."""
    folder = tmp_path / "full"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4096", "tmpfs", str(folder)], capture_output=True
    )
    if done.returncode:
        pytest.skip("a small file system cannot be mounted here")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    monkeypatch.undo()
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_of_temporary_files_is_named(
    bucket: str, reviews: str, tmp_path: Path, scorer: Scorer, full: Path
) -> None:
    content = Path(reviews).read_bytes()
    stream = storage_of(bucket).filesystem.open_output_stream  # type: ignore[attr-defined]
    with stream(f"{bucket.removeprefix('s3://')}/in.parquet") as target:
        target.write(content)
    for source, output, options in (
        (f"{bucket}/in.parquet", tmp_path / "out.parquet", ScoreOptions(on_null="skip")),
        (reviews, f"{bucket}/out.parquet", ScoreOptions()),
    ):
        with pytest.raises(CannotWriteError, match=f"Writing to {full} failed: No sp.*TMPDIR") as e:
            score_parquet(source, output, scorer, options)
        assert_environment(e.value, 73)
    assert [path.name for path in full.iterdir()] == []
