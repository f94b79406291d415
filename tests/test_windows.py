"""What other systems lack is not needed: without the modules of POSIX, files and frames are scored.

No test runs on Windows or macOS itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.storage.paths import location_of

PROGRAM = """
import json, os, sys

# It has code of its own for Windows, so that it may use fcntl here.
import filelock
filelock.FileLock, filelock.lock_descriptor

for name in "curses fcntl grp pty pwd readline resource syslog termios tty".split():
    sys.modules[name] = None
for name in ("O_DIRECTORY", "fork", "register_at_fork", "sched_getaffinity"):
    delattr(os, name)

writable, opened, flush, unlink = set(), os.open, os.fsync, os.unlink

def open_as_windows(path, flags, *others, **named):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", path)
    descriptor = opened(path, flags, *others, **named)
    writable.discard(descriptor)
    if flags & (os.O_RDWR | os.O_WRONLY):
        writable.add(descriptor)
    return descriptor

def fsync_as_windows(descriptor):
    if descriptor not in writable:
        raise OSError(9, "Bad file descriptor")
    flush(descriptor)

def unlink_as_windows(path, **named):
    # A file that is open cannot be deleted; locks are the only ones that are.
    if str(path).endswith(".imdb_classifier.lock"):
        raise PermissionError(13, "Permission denied", path)
    unlink(path, **named)

os.open, os.fsync, os.unlink = open_as_windows, fsync_as_windows, unlink_as_windows

import imdb_classifier
from imdb_classifier.cli import main

def run(*arguments):
    sys.argv = ["imdb-classifier", *arguments]
    try:
        main()
    except SystemExit as ended:
        return ended.code

source, target = sys.argv[1:]
with imdb_classifier.Scorer.load(threads=2) as scorer:
    frame = imdb_classifier.score_dataframe(["A wonderful film.", None], model=scorer)
    codes = [run("plan", source, target), run("score", source, target), run("verify", target)]
    # Locks that nobody holds are left there, and lock nobody out.
    codes.append(run("score", source, target + "/inner", "--force"))
print(json.dumps([codes, frame["sentiment_label"].fillna("none").tolist()]))
"""


def test_files_and_frames_are_scored_without_posix(tmp_path: Path) -> None:
    (tmp_path / "in" / "day=1").mkdir(parents=True)
    table = pa.table({"text": ["A wonderful film.", None]})
    pq.write_table(table, tmp_path / "in" / "day=1" / "a.parquet")
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "in"), str(tmp_path / "out")],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == '[[0, 0, 0, 0], ["positive", "none"]]', ran.stderr
    assert pq.read_table(tmp_path / "out" / "day=1" / "a.parquet").num_rows == 2


def test_locations_have_forward_slashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sep", "\\")
    assert location_of("C:\\data\\in") == "C:/data/in"
