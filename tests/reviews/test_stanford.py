from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import fs

from imdb_classifier.errors import BadDataError
from imdb_classifier.reviews import stanford
from imdb_classifier.reviews.stanford import find_root, read_archive, read_folder

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


def packed(
    files: Mapping[str, str] | Mapping[str, str | bytes], *others: tarfile.TarInfo
) -> io.BytesIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for other in others:
            archive.addfile(other, io.BytesIO(bytes(max(other.size, 0))))
    stream.seek(0)
    return stream


def rows(table: pa.Table) -> list[tuple[str, int]]:
    return [(row["text"], row["label"]) for row in table.to_pylist()]


def test_archive_is_ordered_by_label_and_number() -> None:
    assert rows(read_archive(packed(FILES), "a.tar.gz", "train")) == TRAIN
    assert rows(read_archive(packed(FILES), "a.tar.gz", "test")) == [("tested", 0)]
    assert rows(read_archive(packed(FILES), "a.tar.gz", "unsupervised")) == [("unrated", -1)]


def test_folder_is_ordered_by_label_and_number(tmp_path: Path, unpack: Unpack) -> None:
    with tarfile.open(fileobj=packed(FILES)) as archive:
        unpack(archive, tmp_path)
    local = fs.LocalFileSystem()
    for start in (tmp_path, tmp_path / "aclImdb"):
        root = find_root(local, str(start))
        assert root == str(tmp_path / "aclImdb")
        assert rows(read_folder(local, root, "train")) == TRAIN
        assert rows(read_folder(local, root, "test")) == [("tested", 0)]
        assert rows(read_folder(local, root, "unsupervised")) == [("unrated", -1)]
    assert find_root(local, str(tmp_path / "aclImdb" / "train")) is None


def test_archive_packed_from_a_dot_is_taken() -> None:
    folder = tarfile.TarInfo("./")
    folder.type = tarfile.DIRTYPE
    dotted = {f"./{name}": text for name, text in FILES.items()}
    assert rows(read_archive(packed(dotted, folder), "a.tar.gz", "train")) == TRAIN


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = size
    info.linkname = "/etc/passwd"
    return info


@pytest.mark.parametrize(
    ("hostile", "reason"),
    [
        (member("aclImdb/../../evil.txt"), "points outside the archive"),
        (member("/aclImdb/train/pos/1_9.txt"), "points outside the archive"),
        (member("aclImdb/train/pos/1_9.txt", tarfile.SYMTYPE), "is a link or a device"),
        (member("aclImdb/train/pos/1_9.txt", tarfile.LNKTYPE), "is a link or a device"),
        (member("aclImdb/train/pos/1_9.txt", tarfile.FIFOTYPE), "is a link or a device"),
        (member("aclImdb/device", tarfile.CHRTYPE), "is a link or a device"),
        (member("elsewhere/1_9.txt"), r"does not lie in aclImdb/"),
    ],
    ids=["climbs", "absolute", "symlink", "hardlink", "fifo", "device", "elsewhere"],
)
def test_hostile_members_are_refused(hostile: tarfile.TarInfo, reason: str) -> None:
    with pytest.raises(BadDataError, match=rf"plain files and folders.* a\.tar\.gz, '.*' {reason}"):
        read_archive(packed(FILES, hostile), "a.tar.gz", "train")


def test_oversize_review_is_refused() -> None:
    large = member("aclImdb/train/pos/1_9.txt", size=(4 << 20) + 1)
    with pytest.raises(BadDataError, match=r"a\.tar\.gz:aclImdb/.*1_9\.txt has 4,194,305 bytes"):
        read_archive(packed(FILES, large), "a.tar.gz", "train")


def test_oversize_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train" / "pos").mkdir(parents=True)
    (tmp_path / "train" / "pos" / "1_9.txt").write_bytes(bytes((4 << 20) + 1))
    with pytest.raises(BadDataError, match=r"1_9\.txt has 4,194,305 bytes"):
        read_folder(fs.LocalFileSystem(), str(tmp_path), "train")


def test_oversize_header_is_refused() -> None:
    # tarfile reads such a header whole before it hands out the member behind it.
    header = member("aclImdb/pax", tarfile.XHDTYPE, size=(4 << 20) + 1024)
    with pytest.raises(BadDataError, match=r"a header or member claims 4195328 bytes"):
        read_archive(packed(FILES, header), "a.tar.gz", "train")


def test_negative_size_is_refused() -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        hostile = member("aclImdb/train/pos/1_9.txt")
        hostile.size = -1024
        assert archive.fileobj is not None
        archive.fileobj.write(hostile.tobuf(format=tarfile.GNU_FORMAT))
    stream.seek(0)
    with pytest.raises(BadDataError, match=r"'aclImdb/.*' claims a negative size"):
        read_archive(stream, "a.tar.gz", "train")


def test_total_size_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stanford, "_MAX_SPLIT_BYTES", 20)
    with pytest.raises(BadDataError, match="holds more than 20 bytes of text"):
        read_archive(packed(FILES), "a.tar.gz", "train")


def test_member_count_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stanford, "_MAX_MEMBERS", 3)
    with pytest.raises(BadDataError, match="holds more than 3 members"):
        read_archive(packed(FILES), "a.tar.gz", "train")


def test_review_that_comes_twice_is_refused() -> None:
    with pytest.raises(BadDataError, match=r"aclImdb/train/pos/9_7\.txt comes twice"):
        read_archive(packed(FILES, member("aclImdb/train/pos/9_7.txt")), "a.tar.gz", "train")


def test_text_that_is_not_utf8_is_refused_without_quoting_it() -> None:
    files: dict[str, str | bytes] = {**FILES, "aclImdb/train/pos/1_9.txt": b"secret \xff"}
    with pytest.raises(BadDataError, match=r"must be UTF-8\. a\.tar\.gz:.*1_9\.txt is not") as info:
        read_archive(packed(files), "a.tar.gz", "train")
    assert "secret" not in str(info.value)
    assert info.value.__cause__ is None
    assert info.value.__suppress_context__


@pytest.mark.parametrize("length", [0, 5, 60, -20, -4])
def test_truncated_archive_is_refused(length: int) -> None:
    data = packed(FILES).getvalue()[:length]
    with pytest.raises(BadDataError, match=r"a\.tar\.gz must be Parquet, or a whole tar\.gz"):
        read_archive(io.BytesIO(data), "a.tar.gz", "train")


def test_other_file_is_refused() -> None:
    with pytest.raises(BadDataError, match=r"notes must be Parquet, or a whole tar\.gz"):
        read_archive(io.BytesIO(b"Just a few words."), "notes", "train")


def test_damaged_header_is_not_taken_for_the_end() -> None:
    content = bytearray(gzip.decompress(packed(FILES).getvalue()))
    offset = content.index(b"aclImdb/train/neg/2_1.txt")
    content[offset] ^= 0xFF
    damaged = io.BytesIO(gzip.compress(content))
    with pytest.raises(BadDataError, match="it goes on behind a damaged header"):
        read_archive(damaged, "a.tar.gz", "train")
