"""Files whose names look alike: each is scored, verified and deleted on its own."""

from __future__ import annotations

import os
from itertools import combinations
from pathlib import Path
from unicodedata import normalize

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.batch.checks.file_check import Problem
from imdb_classifier.batch.dry_run import dry_run_parquet
from imdb_classifier.batch.options import Selection
from imdb_classifier.batch.run import score_parquet
from imdb_classifier.batch.verification import verify_output
from imdb_classifier.errors import spelled
from imdb_classifier.scoring.scorer import Scorer

NAMES = {
    "a\x1b": r"a\x1b",
    r"a\x1b": r"a\\x1b",
    r"a\\x1b": r"a\\\\x1b",
    "caf\u00e9": "caf\u00e9",
    "cafe\u0301": r"cafe\u0301",
    os.fsdecode(b"caf\xe9"): r"caf\xe9",
    "\ud55c": "\ud55c",
    "\u1112\u1161\u11ab": "\u1112\\u1161\\u11ab",
    "\u00c5": "\u00c5",
    "\u212b": r"\u212b",
    "zero": "zero",
    "z\u200bero": r"z\u200bero",
    "\x85": r"\u0085",
    os.fsdecode(b"\x85"): r"\x85",
    "no break": "no break",
    "no\u00a0break": r"no\u00a0break",
}


def test_names_that_look_alike_are_spelled_apart() -> None:
    assert {name: spelled(name) for name in NAMES} == NAMES
    for one, other in combinations(NAMES.values(), 2):
        assert normalize("NFC", one) != normalize("NFC", other)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for count, name in enumerate(NAMES, 1):
        with (tmp_path / "in" / f"{name}.parquet").open("wb") as sink:
            pq.write_table(pa.table({"text": ["A fine film."] * count}), sink)
    if len([*(tmp_path / "in").iterdir()]) < len(NAMES):
        pytest.skip("this file system takes some of these names for one")
    return tmp_path


def test_each_of_them_is_scored_and_verified(folder: Path, scorer: Scorer) -> None:
    run = score_parquet(folder / "in", folder / "out", scorer)
    assert {file.name: file.rows for file in run.files} == {
        f"{shown}.parquet": count for count, shown in enumerate(NAMES.values(), 1)
    }
    found = verify_output(folder / "out", scorer)
    assert (found.files, found.problems) == (len(NAMES), ())
    for name, shown in NAMES.items():
        output = folder / "out" / f"{name}.parquet"
        content = output.read_bytes()
        output.unlink()
        gone = Problem(f"{shown}.parquet", None, "It is gone.")
        assert verify_output(folder / "out", scorer).problems == (gone,)
        output.write_bytes(content)


def test_only_the_output_whose_input_is_gone_is_deleted(folder: Path, scorer: Scorer) -> None:
    score_parquet(folder / "in", folder / "out", scorer)
    outputs = {*(folder / "out").glob("*.parquet")}
    for name in ("a\x1b", "cafe\u0301"):
        (folder / "in" / f"{name}.parquet").unlink()
        orphan = f"{NAMES[name]}.parquet"
        assert dry_run_parquet(folder / "in", folder / "out", scorer).orphans == (orphan,)
        selection = Selection(prune=True)
        run = score_parquet(folder / "in", folder / "out", scorer, selection=selection)
        assert run.pruned == (orphan,)
        outputs.remove(folder / "out" / f"{name}.parquet")
        assert {*(folder / "out").glob("*.parquet")} == outputs
