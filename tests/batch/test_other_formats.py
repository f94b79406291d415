"""CSV, JSON and others as input: refused with a command that converts them."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq
import pytest

from imdb_classifier.batch.inputs.discovery import discover_files
from imdb_classifier.batch.inputs.other_formats import check_formats
from imdb_classifier.errors import BadDataError
from tests.waiting import PATIENCE_SECONDS

ROWS: list[dict[str, Any]] = [
    {"text": 'Quotes: ""? No.\nA second line, with commas.', "id": 2**53 + 1, "code": "007"},
    {"text": "NA", "id": 2, "code": "2024-01-01"},
    {"text": "Line separator\u2028, don’t split.", "id": 3, "code": "a\tb"},
]


def write_lines(path: Path) -> None:
    lines = [json.dumps(row, ensure_ascii=False) for row in ROWS]
    path.write_text("\n".join(lines) + "\n", "utf-8")


WRITERS: dict[str, Callable[[Path], object]] = {
    "csv": lambda path: pd.DataFrame(ROWS).to_csv(path, index=False),
    "tsv": lambda path: pd.DataFrame(ROWS).to_csv(path, index=False, sep="\t"),
    "jsonl": write_lines,
    "json": write_lines,
    "array.json": lambda path: path.write_text(json.dumps(ROWS), "utf-8"),
    "feather": lambda path: pyarrow.feather.write_feather(pa.Table.from_pylist(ROWS), path),
    "orc": lambda path: pyarrow.orc.write_table(pa.Table.from_pylist(ROWS), path),
}


@pytest.mark.parametrize("suffix", WRITERS)
def test_the_command_in_the_error_converts_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"it's a $table.{suffix}"
    WRITERS[suffix](tmp_path / name)
    with pytest.raises(BadDataError, match=r"Only Parquet files.*Convert it first: python") as info:
        discover_files(name, "out")
    assert info.value.exit_code == 65
    command = shlex.split(str(info.value).partition("first: ")[2])
    subprocess.run([sys.executable, *command[1:]], check=True, timeout=PATIENCE_SECONDS)
    (made,) = tmp_path.glob("*.parquet")
    assert made.stem == name.rpartition(".")[0]
    assert pq.read_table(made).to_pylist() == ROWS


@pytest.mark.parametrize("source", ["in", "in/*", "in/a.csv"])
def test_an_input_of_other_formats_only(tmp_path: Path, source: str) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.csv", "b.JSONL", "c.feather", "_notes"):
        (tmp_path / "in" / name).touch()
    with pytest.raises(BadDataError, match=r"By its name, .*in/a\.csv is not one.*read_csv"):
        discover_files(f"{tmp_path}/{source}", str(tmp_path / "out"))
    # As soon as there are others, it is the rest that cannot be scored.
    (tmp_path / "in" / "d.parquet").touch()
    if source != "in/a.csv":
        names = [
            file.name for file in discover_files(f"{tmp_path}/{source}", f"{tmp_path}/out").files
        ]
        assert "d.parquet" in names


def test_what_comes_before_a_conversion() -> None:
    before = r"is not one\. Download it\. Decompress it\. Convert it first: python"
    with pytest.raises(BadDataError, match=before + r".*read_csv\(\"a\.csv\""):
        check_formats("s3://bucket/in", ["a.csv.gz"])
