from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.batch.run import score_parquet
from imdb_classifier.batch.verification import Problem, verify_output
from imdb_classifier.errors import NoInputError
from imdb_classifier.model.bundle import load_bundle
from imdb_classifier.registry.versions import bundled_path
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.storage.files import sha256_of

ROWS = 3_000
TEXTS = [f"A {'wonderful' if row % 3 else 'dull'} film, number {row}." for row in range(ROWS)]


@pytest.fixture
def output(tmp_path: Path, scorer: Scorer) -> Path:
    (tmp_path / "in" / "day=1").mkdir(parents=True)
    texts = [None if row % 100 == 50 else text for row, text in enumerate(TEXTS)]
    for name in ("a.parquet", "day=1/b.parquet"):
        pq.write_table(pa.table({"text": texts, "n": range(ROWS)}), tmp_path / "in" / name)
    score_parquet(str(tmp_path / "in"), str(tmp_path / "out"), scorer)
    return tmp_path / "out"


def rewrite(output: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change a file, and update its checksum in the manifest."""
    file = output / "a.parquet"
    footer = pq.read_metadata(file).metadata
    pq.write_table(change(pq.read_table(file)).replace_schema_metadata(footer), file)
    manifest = json.loads((output / "_MANIFEST.json").read_text())
    manifest["files"][0]["sha256"] = sha256_of(file)
    (output / "_MANIFEST.json").write_text(json.dumps(manifest))


def replaced(table: pa.Table, column: str, row: int, value: object) -> pa.Table:
    values = table[column].to_pylist()
    values[row] = value
    index = table.column_names.index(column)
    return table.set_column(index, table.field(column), pa.array(values, table.field(column).type))


@pytest.mark.parametrize("on_null", ["label", "skip"])
def test_what_was_scored_is_well(
    output: Path, tmp_path: Path, scorer: Scorer, on_null: str
) -> None:
    options = ScoreOptions(prefix="mood_", on_null=on_null, quarantine=True)  # type: ignore[arg-type]
    score_parquet(str(tmp_path / "in"), str(tmp_path / "other"), scorer, options)
    for folder in (output, tmp_path / "other"):
        found = verify_output(folder, scorer)
        assert found.problems == ()
        kept = ROWS - 30 if folder != output and on_null == "skip" else ROWS
        assert (found.files, found.rows, found.scored_again, found.exit_code) == (
            2,
            2 * kept,
            64,
            0,
        )
    single = verify_output(output / "a.parquet", scorer, source=tmp_path / "in" / "a.parquet")
    assert (single.problems, single.files, single.rows) == ((), 1, ROWS)


def test_a_byte_that_flipped(output: Path, scorer: Scorer) -> None:
    file = output / "day=1" / "b.parquet"
    content = bytearray(file.read_bytes())
    chunk = pq.read_metadata(file).row_group(0).column(1)
    content[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 1
    file.write_bytes(content)
    found = verify_output(output, scorer)
    assert found.exit_code == 65
    assert [(problem.file, problem.row) for problem in found.problems] == [
        ("day=1/b.parquet", None),
        ("day=1/b.parquet", None),
    ]
    assert "Its bytes are not those" in found.problems[0].what
    assert "row group 0" in found.problems[1].what


def test_a_label_that_was_changed(output: Path, scorer: Scorer) -> None:
    def change(table: pa.Table) -> pa.Table:
        other = {"positive": "negative", "negative": "positive"}
        return replaced(
            table, "sentiment_label", 1234, other[table["sentiment_label"][1234].as_py()]
        )

    rewrite(output, change)
    found = verify_output(output, scorer)
    assert found.problems[0] == Problem(
        "a.parquet", 1234, "Its label, probability and text do not agree."
    )
    assert found.problems[1].what == "Its rows are not as many as its footer says."


@pytest.mark.parametrize("row", [0, ROWS - 1])
def test_a_score_that_was_changed(output: Path, scorer: Scorer, row: int) -> None:
    def change(table: pa.Table) -> pa.Table:
        probability = table["sentiment_probability"][row].as_py()
        return replaced(table, "sentiment_probability", row, probability + 0.0001)

    rewrite(output, change)
    what = "The model gives its text another probability."
    assert verify_output(output, scorer).problems == (Problem("a.parquet", row, what),)
    assert verify_output(output, scorer, rows_again=0).problems == ()


def test_a_text_that_was_removed(output: Path, scorer: Scorer) -> None:
    rewrite(output, lambda table: replaced(table, "text", 77, " "))
    what = "Its label, probability and text do not agree."
    assert verify_output(output, scorer).problems == (Problem("a.parquet", 77, what),)


def test_rows_that_are_gone(output: Path, scorer: Scorer) -> None:
    rewrite(output, lambda table: table.filter(pc.not_equal(table["n"], 7)))
    assert verify_output(output, scorer).problems == (
        Problem("a.parquet", None, "Its rows are not as many as its footer says."),
    )


def test_files_that_came_went_or_are_no_longer_what_they_were(
    output: Path, tmp_path: Path, scorer: Scorer
) -> None:
    (output / "new.parquet").write_bytes((output / "a.parquet").read_bytes())
    (output / "day=1" / "b.parquet").unlink()
    pq.write_table(pa.table({"text": ["Another."]}), tmp_path / "in" / "a.parquet")
    pq.write_table(pa.table({"text": ["More."]}), tmp_path / "in" / "c.parquet")
    found = verify_output(output, scorer)
    assert [(problem.file, problem.what) for problem in found.problems] == [
        ("new.parquet", "The manifest does not list it."),
        ("c.parquet", "It is in the input, and not scored."),
        ("a.parquet", "Its input is no longer what was scored."),
        ("day=1/b.parquet", "It is gone."),
    ]
    (tmp_path / "in" / "a.parquet").unlink()
    assert (
        Problem("a.parquet", None, "Its input is gone.") in verify_output(output, scorer).problems
    )
    (output / "a.parquet").write_text("mine")
    assert verify_output(output, scorer).problems[2].what == (
        "Its footer is not of ours, or cannot be read."
    )


def test_a_file_of_another_model(output: Path, tmp_path: Path, scorer: Scorer) -> None:
    with Scorer(load_bundle(bundled_path())) as other:
        score_parquet(str(tmp_path / "in"), str(tmp_path / "two"), other)
        (tmp_path / "two" / "a.parquet").replace(output / "a.parquet")
        assert verify_output(output, scorer).model_id == scorer.bundle.model_id
        what = f"Another model scored it: {other.bundle.model_id}."
        assert verify_output(output, scorer).problems == (Problem("a.parquet", None, what),)


@pytest.mark.parametrize("name", ["out", "in", "in/a.parquet", "nothing"])
def test_only_what_was_completed_is_verified(
    output: Path, tmp_path: Path, scorer: Scorer, name: str
) -> None:
    (output / "_SUCCESS").unlink()
    with pytest.raises(NoInputError, match=f"{name} is neither"):
        verify_output(tmp_path / name, scorer)
