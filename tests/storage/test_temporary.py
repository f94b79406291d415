"""Temporary folders: deleted in the end by their own process, or else by the next one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from imdb_classifier.errors import CannotWriteError
from imdb_classifier.storage.temporary import temporary_folder

HOLD = """
import sys, tempfile
from imdb_classifier.storage.temporary import temporary_folder

tempfile.tempdir = sys.argv[1]
with temporary_folder() as folder:
    (folder / "input").write_text("a copy")
    print(folder, flush=True)
    sys.stdin.read()
"""


def known_to_no_process(*_: object) -> None:
    raise ProcessLookupError


@contextmanager
def holding(root: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """Another process that uses a temporary folder."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield Path(process.stdout.readline().strip()), process
        finally:
            process.kill()


def test_only_what_nobody_uses_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "imdb-classifier-mine").mkdir()
    with holding(tmp_path) as (folder, process):
        with temporary_folder() as ours:
            assert list(ours.iterdir()) == []
            with temporary_folder() as second:
                assert second != ours
            assert ours.is_dir()
        # In another container, the process would have an id that means nothing here.
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(os, "kill", known_to_no_process)
            with temporary_folder():
                assert (folder / "input").read_text() == "a copy"
        process.kill()
        process.wait()
        assert folder.exists()
        with temporary_folder():
            assert not folder.parent.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["imdb-classifier-mine"]


def test_many_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def use(_: int) -> None:
        with temporary_folder() as folder:
            (folder / "input").write_text("a copy")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(500)))
    with temporary_folder():
        pass
    assert list(tmp_path.iterdir()) == []


def test_no_folder_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nonexistent"])
    with (
        pytest.raises(CannotWriteError, match=r"No usable temporary directory.*Set TMPDIR"),
        temporary_folder(),
    ):
        pass
