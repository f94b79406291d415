"""What is found in folders and by patterns, and what is said about the rest."""

from __future__ import annotations

import os
from errno import EACCES
from http.client import HTTPConnection
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.batch.inputs.discovery import discover_files
from imdb_classifier.batch.run import score_parquet
from imdb_classifier.errors import OutputExistsError, UnreadableFileError
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.storage import Listing, storage_of

LOOP = "is a symbolic link that leads back to itself or to a folder around it"


def listed(path: Path, pattern: str | None) -> Listing:
    """What is found in a folder, or by a pattern below it."""
    if pattern is None:
        return storage_of(str(path)).find(str(path))
    return storage_of(str(path)).match(f"{path}/{pattern}")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files on two disks, as symbolic links join them."""
    for name in ("in/2024/a.parquet", "disk/2025/a.parquet", "disk/b.parquet"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"text": ["Good."]}), tmp_path / name)
    (tmp_path / "in" / "2025").symlink_to(tmp_path / "disk" / "2025")
    (tmp_path / "in" / "latest").symlink_to("2024")
    (tmp_path / "in" / "b.parquet").symlink_to(tmp_path / "disk" / "b.parquet")
    return tmp_path / "in"


@pytest.mark.parametrize("pattern", [None, "**", "**/*.parquet"])
def test_symbolic_links_are_followed(tree: Path, pattern: str | None) -> None:
    found = listed(tree, pattern)
    names = ["2024/a.parquet", "2025/a.parquet", "b.parquet", "latest/a.parquet"]
    assert (list(found.names), found.ignored) == (names, {})


@pytest.mark.parametrize("pattern", [None, "**/*"])
def test_links_that_lead_back_are_named_and_left(tree: Path, pattern: str | None) -> None:
    (tree / "2024" / "up").symlink_to(tree)
    (tree / "2024" / "itself.parquet").symlink_to("itself.parquet")
    (tree / "gone.parquet").symlink_to("nothing")
    found = listed(tree, pattern)
    names = ("2024/a.parquet", "2025/a.parquet", "b.parquet", "latest/a.parquet")
    assert found.names == names
    assert found.ignored == {
        "2024/itself.parquet": LOOP,
        "2024/up": LOOP,
        "gone.parquet": "is a symbolic link to nothing",
        "latest/itself.parquet": LOOP,
        "latest/up": LOOP,
    }


@pytest.mark.parametrize("pattern", [None, "**/*.parquet"])
def test_pipes_are_named_and_never_opened(tree: Path, pattern: str | None) -> None:
    os.mkfifo(tree / "2024" / "pipe.parquet")
    source = str(tree) if pattern is None else f"{tree}/{pattern}"
    found = discover_files(source, str(tree.parent / "out"))
    assert "2024/pipe.parquet" not in [file.name for file in found.files]
    assert {file.name: file.reason for file in found.ignored} == {
        f"{folder}/pipe.parquet": "is not a regular file" for folder in ("2024", "latest")
    }


@pytest.mark.parametrize("pattern", [None, "**/*.parquet", "20*/*.parquet"])
def test_a_folder_that_cannot_be_read_is_an_error(
    tree: Path, pattern: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = os.scandir

    def broken(path: str) -> object:
        if path.endswith("2024"):
            raise PermissionError(EACCES, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", broken)
    with pytest.raises(PermissionError, match="2024"):
        listed(tree, pattern)
    # Other folders can still be read.
    assert list(listed(tree, "2025/*.parquet").names) == ["a.parquet"]


@pytest.mark.parametrize("name", ["pipe.parquet", "/dev/zero"])
def test_a_single_input_or_output_that_is_no_regular_file_is_an_error(
    tree: Path, scorer: Scorer, name: str
) -> None:
    path = str(tree / name)
    if not Path(path).exists():
        os.mkfifo(path)
    with pytest.raises(UnreadableFileError, match=f"{name} .*it is not a regular file"):
        score_parquet(path, str(tree / "out.parquet"), scorer)
    if path.endswith(".parquet"):
        with pytest.raises(OutputExistsError, match="imdb-classifier did not write it"):
            score_parquet(str(tree / "b.parquet"), path, scorer)


def test_only_folders_that_can_hold_a_match_are_read(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    scan = os.scandir

    def noted(path: str) -> object:
        read.append(path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", noted)
    assert list(listed(tree, "*/a.parquet").names) == [
        "2024/a.parquet",
        "2025/a.parquet",
        "latest/a.parquet",
    ]
    assert len(read) == 4
    read.clear()
    assert list(listed(tree, "*.parquet").names) == ["b.parquet"]
    assert read == [str(tree)]
    assert list(listed(tree, "nothing/*/a.parquet").names) == []


def test_keys_that_no_path_can_name_are_listed_with_the_reason(
    bucket: str, object_store: str
) -> None:
    storage_of(bucket).write_text(f"{bucket}/in/a.parquet", "")
    server = HTTPConnection(object_store.removeprefix("http://"))
    for key in ("in//double.parquet", "in/../up.parquet", "in/x//y/z.parquet"):
        server.request("PUT", f"/{bucket.removeprefix('s3://')}/{key}", body=b"")
        server.getresponse().read()
    odd = "has an empty, '.' or '..' part in its key, which no path can name"
    for source in (f"{bucket}/in", f"{bucket}/in/**/*.parquet"):
        found = discover_files(source, f"{bucket}/out")
        assert [file.name for file in found.files] == ["a.parquet"]
        assert {file.name: file.reason for file in found.ignored} == {
            "/double.parquet": odd,
            "x//y/z.parquet": odd,
        }
