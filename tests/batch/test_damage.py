"""A damaged footer affects only its own file."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.errors import UnreadableFileError
from imdb_classifier.reviews.load import load_reviews
from tests.command_line import Run
from tests.troublesome import CASES

NAME = "oddly"
CHANGED_FILES = 300


def parquet(**columns: list[Any]) -> bytes:
    pq.write_table(pa.table(columns), sink := io.BytesIO(), write_page_checksum=True)
    return sink.getvalue()


GOOD = parquet(id=[1, 2, 3], text=["A fine film.", "Dull.", "Badly acted."], s=[{"a": 1}] * 3)


def misnamed(content: bytes) -> bytes:
    """Return the file with invalid UTF-8 in the name of its column `NAME`."""
    changed = content.replace(NAME.encode(), b"\xff" * len(NAME))
    assert changed != content
    return changed


def randomly_changed(seed: int) -> bytes:
    """Return the file `GOOD` with up to four bytes of its footer changed."""
    content, generator = bytearray(GOOD), random.Random(seed)
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    for _ in range(generator.choice((1, 1, 2, 4))):
        content[generator.randrange(start, len(content))] = generator.randrange(256)
    return bytes(content)


def command(*arguments: str | Path) -> tuple[int, Any]:
    """Run a command in its own process, which damage may crash; return exit code and JSON."""
    ran = subprocess.run(
        [sys.executable, "-m", "imdb_classifier", *map(str, arguments), "--json"],
        capture_output=True,
    )
    return ran.returncode, json.loads(ran.stdout or "null")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "good.parquet").write_bytes(GOOD)
    return tmp_path / "in"


def test_a_column_name_that_is_not_utf8_is_named_and_the_rest_is_scored(
    folder: Path, tmp_path: Path, run: Run
) -> None:
    (folder / "bad.parquet").write_bytes(misnamed(parquet(text=["Fine."], **{NAME: [1]})))
    planned = run("plan", folder, tmp_path / "out", "--json")
    assert planned.code == 0
    assert {file["name"]: file["status"] for file in planned.json["files"]} == {
        "bad.parquet": "failing",
        "good.parquet": "new",
    }
    scored = run("score", folder, tmp_path / "out")
    assert scored.code == 75
    assert "bad.parquet must be a readable Parquet file." in scored.err
    assert "a column name is not valid UTF-8" in scored.err
    assert pq.read_metadata(tmp_path / "out" / "good.parquet").num_rows == 3
    alone = run("score", folder / "bad.parquet", tmp_path / "alone.parquet")
    assert (alone.code, "not valid UTF-8" in alone.err) == (65, True)


@pytest.mark.parametrize("place", ["in", "out"])
def test_verify_names_such_a_file(folder: Path, tmp_path: Path, run: Run, place: str) -> None:
    (folder / "bad.parquet").write_bytes(parquet(text=["Fine."], **{NAME: [1]}))
    assert run("score", folder, tmp_path / "out").code == 0
    file = tmp_path / place / "bad.parquet"
    file.write_bytes(misnamed(file.read_bytes()))
    verified = run("verify", tmp_path / "out", "--json")
    assert verified.code == 65
    assert {problem["file"] for problem in verified.json["problems"]} == {"bad.parquet"}


def test_reviews_with_such_a_column_are_refused(tmp_path: Path) -> None:
    content = misnamed(parquet(text=["Fine."], label=[1], **{NAME: [1]}))
    (tmp_path / "train.parquet").write_bytes(content)
    with pytest.raises(UnreadableFileError, match=r"train\.parquet.*not valid UTF-8"):
        load_reviews(str(tmp_path), "train")


def test_a_dry_run_survives_an_encrypted_column(folder: Path, tmp_path: Path) -> None:
    (case,) = [case for case in CASES if case.file == "encrypted/column.parquet"]
    case.write(folder / "locked.parquet")
    code, planned = command("plan", folder, tmp_path / "out")
    assert code == 0
    assert [file["name"] for file in planned["files"]] == ["good.parquet", "locked.parquet"]


def test_no_change_to_a_footer_ends_a_run(folder: Path, tmp_path: Path) -> None:
    for seed in range(CHANGED_FILES):
        (folder / f"{seed:03}.parquet").write_bytes(randomly_changed(seed))
    code, planned = command("plan", folder, tmp_path / "out")
    assert code == 0
    unreadable = {file["name"] for file in planned["files"] if file["status"] == "failing"}
    code, scored = command("score", folder, tmp_path / "out")
    assert code == 75
    assert len(scored["files"]) == CHANGED_FILES + 1
    failed = {file["name"]: file for file in scored["files"] if file["status"] == "failed"}
    assert {file["exit_code"] for file in failed.values()} == {65}
    assert all(name in file["error"] for name, file in failed.items())
    assert unreadable
    assert unreadable <= failed.keys()
    assert "good.parquet" not in failed
    assert pq.read_metadata(tmp_path / "out" / "good.parquet").num_rows == 3
