from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.batch import dry_run
from imdb_classifier.batch.dry_run import DryRun, dry_run_parquet
from imdb_classifier.batch.options import ScoreOptions, Selection
from imdb_classifier.batch.run import score_parquet
from imdb_classifier.errors import NoInputError, UnreadableFileError
from imdb_classifier.scoring.scorer import Scorer


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "in").mkdir()
    for name, rows in (("a", 30), ("b", 200), ("c", 0)):
        texts = pa.array([f"A fine film, number {row}." for row in range(rows)], pa.string())
        pq.write_table(pa.table({"text": texts}), tmp_path / "in" / f"{name}.parquet")
    return str(tmp_path / "in")


def statuses(found: DryRun) -> list[str]:
    return [file.status for file in found.files]


def test_what_a_run_would_do_is_what_it_does(folder: str, tmp_path: Path, scorer: Scorer) -> None:
    output = str(tmp_path / "out")
    before = dry_run_parquet(folder, output, scorer)
    assert statuses(before) == ["new"] * 3
    assert before.totals() == {
        "files": 3, "rows": 230, "files_to_score": 3, "rows_to_score": 230,
    }  # fmt: skip
    assert before.seconds > 0
    assert before.memory_bytes > 2**20
    assert not (tmp_path / "out").exists()

    score_parquet(folder, output, scorer)
    pq.write_table(pa.table({"text": ["Another."]}), tmp_path / "in" / "a.parquet")
    (tmp_path / "in" / "d.parquet").write_bytes(b"no parquet")
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "in" / "e.parquet")
    both = Selection("new,stale")
    after = dry_run_parquet(folder, output, scorer, selection=both)
    assert statuses(after) == ["stale", "finished", "finished", "failing", "failing"]
    assert after.totals()["rows_to_score"] == 1
    run = score_parquet(folder, output, scorer, selection=both)
    assert [file.status for file in run.files] == [
        "scored", "reused", "reused", "failed", "failed",
    ]  # fmt: skip
    assert [file.error for file in after.files] == [file.error for file in run.files]
    others = dry_run_parquet(folder, output, scorer, ScoreOptions(prefix="mood_"), selection=both)
    assert statuses(others)[:3] == ["stale"] * 3
    new = dry_run_parquet(
        folder, output, scorer, ScoreOptions(prefix="mood_"), selection=Selection("new")
    )
    assert statuses(new)[:3] == ["outdated"] * 3
    assert new.seconds == 0


def test_no_rows_are_read(folder: str, tmp_path: Path, scorer: Scorer) -> None:
    before = dry_run_parquet(folder, str(tmp_path / "out"), scorer)
    content = bytearray((tmp_path / "in" / "b.parquet").read_bytes())
    content[4:200] = bytes(196)
    (tmp_path / "in" / "b.parquet").write_bytes(content)
    found = dry_run_parquet(folder, str(tmp_path / "out"), scorer)
    assert statuses(found) == ["new"] * 3
    assert found.totals() == before.totals()
    with pytest.raises(UnreadableFileError, match=r"b\.parquet"):
        score_parquet(f"{folder}/b.parquet", str(tmp_path / "out.parquet"), scorer)


def test_nothing_to_plan(tmp_path: Path, scorer: Scorer) -> None:
    with pytest.raises(NoInputError, match="nothing matches no file"):
        dry_run_parquet(str(tmp_path / "nothing"), str(tmp_path / "out"), scorer)


def test_estimates_are_made_from_the_text_alone(
    tmp_path: Path, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What this process took before is part of the estimate, and grows with the tests.
    monkeypatch.setattr(dry_run, "_peak_memory", lambda: 0)
    mebibyte = 1 << 20
    text, rows = "A fine film. " * 100, 2_000
    noise = np.random.default_rng(0).bytes(rows * 20_000)
    wide = [noise[row * 20_000 : (row + 1) * 20_000] for row in range(rows)]
    tables = {
        "plain": pa.table({"text": [text] * rows}),
        "wide": pa.table({"text": [text] * rows, "wide": pa.array(wide, pa.binary())}),
        # A dictionary of one text: what is stored says nothing about what is read.
        "long": pa.table({"text": [text * 10] * rows}),
    }
    memory, seconds = {}, {}
    for name, table in tables.items():
        pq.write_table(table, tmp_path / f"{name}.parquet")
        found = dry_run_parquet(tmp_path / f"{name}.parquet", tmp_path / "out.parquet", scorer)
        memory[name], seconds[name] = found.memory_bytes, found.seconds
    assert memory["wide"] == memory["plain"] > 4 * mebibyte
    # Not ten times as much, because long texts are encoded a few at a time.
    assert memory["long"] > 2 * memory["plain"]
    assert seconds["long"] > 3 * seconds["plain"]
    skip = ScoreOptions(on_null="skip")
    rewritten = dry_run_parquet(tmp_path / "wide.parquet", tmp_path / "out.parquet", scorer, skip)
    assert rewritten.memory_bytes - memory["wide"] > 60 * mebibyte
