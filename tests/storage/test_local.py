from __future__ import annotations

import os
from pathlib import Path

import pytest

from imdb_classifier.storage import storage_of


def test_a_file_is_on_disk_before_it_replaces_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int | str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        done.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def noted_replace(source: str, target: str) -> None:
        done.append("replaced")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    file = tmp_path / "a.json"
    storage_of(str(file)).write_text(str(file), "{}")
    # Then the folder, so that the new name is on disk as well.
    assert done == [file.stat().st_ino, "replaced", tmp_path.stat().st_ino]


@pytest.mark.parametrize("length", [230, 235, 255])
def test_names_may_be_as_long_as_the_file_system_allows(tmp_path: Path, length: int) -> None:
    name = "é" * ((length - 8) // 2) + "x" * (length % 2) + ".parquet"
    assert len(os.fsencode(name)) == length
    target = str(tmp_path / name)
    storage = storage_of(target)
    with storage.lock(target, ()), storage.writing(target) as unfinished:
        Path(unfinished).write_text("new")
        assert [path.suffix for path in tmp_path.iterdir()].count(".unfinished") == 1
    assert [path.name for path in tmp_path.iterdir()] == [name]
    # What a killed run left is removed by the next one.
    left = tmp_path / Path(unfinished).name
    left.touch()
    with storage.lock(target, ()):
        assert not left.exists()
