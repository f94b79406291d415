from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import fs

from imdb_classifier.errors import BadDataError
from imdb_classifier.reviews.stanford import find_root, read_archive, read_folder

LOCAL = fs.LocalFileSystem()
Unpack = Callable[[tarfile.TarFile, Path], None]

FILES = {
    "aclImdb/README": "not a review",
    "aclImdb/train/urls_pos.txt": "neither",
    "aclImdb/train/pos/notes.txt": "nor this",
    "aclImdb/train/pos/10_9.txt": "tenth",
    "aclImdb/train/pos/9_7.txt": "ninth",
    "aclImdb/train/neg/2_1.txt": "second, caf\u00e9",
    "aclImdb/train/neg/11_4.txt": "eleventh",
    "aclImdb/train/unsup/1_0.txt": "unrated",
    "aclImdb/test/neg/0_2.txt": "tested",
}
TRAIN = [("second, caf\u00e9", 0), ("eleventh", 0), ("ninth", 1), ("tenth", 1)]


@pytest.fixture
def archive(tmp_path: Path, publish: Callable[[Path, str], None]) -> str:
    """The published archive of these tests."""
    path = tmp_path / "aclImdb_v1.tar.gz"
    pack(path)
    publish(path, "ACLIMDB")
    return str(path)


def pack(path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        folder = tarfile.TarInfo("aclImdb/train/pos")
        folder.type = tarfile.DIRTYPE
        folder.mode = 0o755
        archive.addfile(folder)
        for name, text in FILES.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))


def rows(table: pa.Table) -> list[tuple[str, int]]:
    return [(row["text"], row["label"]) for row in table.to_pylist()]


def test_archive_is_ordered_by_label_and_number(archive: str) -> None:
    assert rows(read_archive(LOCAL, archive, "train")) == TRAIN
    assert rows(read_archive(LOCAL, archive, "test")) == [("tested", 0)]
    assert rows(read_archive(LOCAL, archive, "unsupervised")) == [("unrated", -1)]


def test_folder_is_ordered_by_label_and_number(
    archive: str, tmp_path: Path, unpack: Unpack
) -> None:
    with tarfile.open(archive) as packed:
        unpack(packed, tmp_path)
    for start in (tmp_path, tmp_path / "aclImdb"):
        root = find_root(LOCAL, str(start))
        assert root == str(tmp_path / "aclImdb")
        assert rows(read_folder(LOCAL, root, "train")) == TRAIN
        assert rows(read_folder(LOCAL, root, "test")) == [("tested", 0)]
        assert rows(read_folder(LOCAL, root, "unsupervised")) == [("unrated", -1)]
    assert find_root(LOCAL, str(tmp_path / "aclImdb" / "train")) is None


def test_other_archives_are_refused_unread(archive: str, tmp_path: Path) -> None:
    other = tmp_path / "own.tgz"
    other.write_bytes(Path(archive).read_bytes() + b"\0")
    digest = hashlib.sha256(other.read_bytes()).hexdigest()
    with pytest.raises(
        BadDataError,
        match=r"must be Parquet, or the published aclImdb_v1\.tar\.gz \(SHA-256 .*"
        rf"own\.tgz is neither: its SHA-256 is {digest}\. Unpack other archives",
    ):
        read_archive(LOCAL, str(other), "train")


def test_text_that_is_not_utf8_is_refused_without_quoting_it(tmp_path: Path) -> None:
    (tmp_path / "train" / "pos").mkdir(parents=True)
    (tmp_path / "train" / "pos" / "1_9.txt").write_bytes(b"secret \xff")
    with pytest.raises(BadDataError, match=r"must be valid UTF-8\. .*1_9\.txt is not") as info:
        read_folder(LOCAL, str(tmp_path), "train")
    assert "secret" not in str(info.value)
    assert info.value.__cause__ is None
    assert info.value.__suppress_context__
