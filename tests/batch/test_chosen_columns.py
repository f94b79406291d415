"""With ``columns``, an output has only these columns of its input, and the two new ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.batch.dry_run import dry_run_parquet
from imdb_classifier.batch.options import OnNull, ScoreOptions, Selection
from imdb_classifier.batch.parquet_footer.compact_protocol import BINARY, I64
from imdb_classifier.batch.parquet_footer.file_footer import FileFooter, end_of_file
from imdb_classifier.batch.parquet_footer.file_metadata import (
    GROUP_CHUNKS,
    METADATA_COMPRESSED_BYTES,
    ROW_GROUPS,
    chunk_metadata,
    structs,
)
from imdb_classifier.batch.results import FileResult
from imdb_classifier.batch.run import score_parquet
from imdb_classifier.batch.verification import verify_output
from imdb_classifier.errors import (
    AmbiguousColumnError,
    BadDataError,
    ColumnExistsError,
    ConfigurationError,
    ImdbClassifierError,
    MissingColumnError,
    OutputExistsError,
    UnreadableFileError,
)
from imdb_classifier.scoring.scorer import PendingProbabilities, Scorer
from tests.batch.test_appended_copy import SPARK_KEY, TEXTS, WRITERS, with_index_and_bloom_filter
from tests.batch.test_rewritten_copy import decoded
from tests.footers import assert_selected, entries, split
from tests.troublesome import CASES, Case

Score = Callable[..., FileResult]
NEW = ["sentiment_label", "sentiment_probability"]
CHOSEN = {
    "page index and bloom filter": ["id"],
    "pandas": ["stars", "id"],
    "Polars": ["text", "stars"],
    "DuckDB": ["span", "clock", "anything"],
    "fastparquet": ["stars"],
    "INT96": ["when"],
}
WITHOUT_NAMES = "columns/one name.parquet"
WITH_OTHERS = [
    case
    for case in CASES
    if case.refused is None and case.file.startswith("columns/") and case.file != WITHOUT_NAMES
]


def options(*columns: str, **named: Any) -> ScoreOptions:
    return ScoreOptions(columns=columns, **named)


def read(path: Path) -> pa.Table:
    with path.open("rb") as file:
        return pq.ParquetFile(file).read()


@pytest.mark.parametrize("writer", CHOSEN)
def test_chosen_columns_are_copied_byte_for_byte(
    score: Score, scorer: Scorer, tmp_path: Path, writer: str
) -> None:
    WRITERS[writer](tmp_path / "in.parquet")
    score(options(*CHOSEN[writer]))
    assert_selected(tmp_path / "in.parquet", tmp_path / "out.parquet", CHOSEN[writer])
    scored = read(tmp_path / "out.parquet")
    in_order = [
        name for name in read(tmp_path / "in.parquet").column_names if name in CHOSEN[writer]
    ]
    assert scored.column_names == [*in_order, *NEW]
    texts = read(tmp_path / "in.parquet")["text"].combine_chunks().cast(pa.string())
    np.testing.assert_allclose(
        scored["sentiment_probability"].to_numpy(),
        scorer.probabilities(texts).to_numpy(zero_copy_only=False),
        atol=1e-6,
    )
    assert [group.num_rows for group in groups(tmp_path / "out.parquet")] == [
        group.num_rows for group in groups(tmp_path / "in.parquet")
    ]


def groups(path: Path) -> list[pq.RowGroupMetaData]:
    metadata = pq.read_metadata(path)
    return [metadata.row_group(number) for number in range(metadata.num_row_groups)]


@pytest.mark.parametrize("case", WITH_OTHERS, ids=lambda case: case.name)
@pytest.mark.parametrize("on_null", ["label", "skip"])
def test_a_column_of_any_type_can_be_chosen(
    score: Score, tmp_path: Path, on_null: OnNull, case: Case
) -> None:
    case.write(tmp_path / "in.parquet")
    before = read(tmp_path / "in.parquet")
    chosen = before.drop_columns("text")
    score(options(*reversed(chosen.column_names), on_null=on_null))
    if on_null == "skip":
        rows = [row for row, text in enumerate(case.texts or ()) if text and text.strip()]
        chosen = pa.table([taken(column, rows) for column in chosen], chosen.schema)
    after = read(tmp_path / "out.parquet")
    assert after.column_names == [*chosen.column_names, *NEW]
    for name in chosen.column_names:
        assert after.field(name).equals(chosen.field(name), check_metadata=True)
        assert decoded(after[name]).equals(decoded(chosen[name]))


def taken(column: pa.ChunkedArray, rows: list[int]) -> pa.ChunkedArray:
    # Not all types have a kernel for it.
    return pa.chunked_array([column.slice(row, 1).combine_chunks() for row in rows], column.type)


def test_indexes_and_bloom_filters_come_along(score: Score, tmp_path: Path) -> None:
    with_index_and_bloom_filter(tmp_path / "in.parquet")
    score(options("id"))
    probes = duckdb.execute(
        f"SELECT bloom_filter_excludes FROM parquet_bloom_probe('{tmp_path}/out.parquet', 'id', 5)"
    ).fetchall()
    assert probes == [(False,), (True,), (True,)]
    (sorting,) = groups(tmp_path / "out.parquet")[0].sorting_columns
    assert sorting == pq.SortingColumn(0)


def test_rows_are_sorted_by_what_is_left(score: Score, tmp_path: Path) -> None:
    table = pa.table({"text": TEXTS, "a": [1] * len(TEXTS), "b": range(len(TEXTS))})
    by = [pq.SortingColumn(2), pq.SortingColumn(0), pq.SortingColumn(1)]
    pq.write_table(table, tmp_path / "in.parquet", sorting_columns=by)
    score(options("a", "b"))
    assert groups(tmp_path / "out.parquet")[0].sorting_columns == (pq.SortingColumn(1),)


def test_keys_describe_the_chosen_columns(score: Score, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"id": range(3), "text": ["Good."] * 3, "stars": [1, 2, 3]},
        index=pd.Index(list("abc"), name="k"),
    )
    table = pa.Table.from_pandas(frame)
    spark = [{"name": name, "type": "string", "nullable": True, "metadata": {}} for name in frame]
    keys = {
        **table.schema.metadata,
        SPARK_KEY: json.dumps({"type": "struct", "fields": spark}),
        b"huggingface": json.dumps({"info": {"features": {name: {} for name in frame}}}),
        b"owner": b"data team",
    }
    pq.write_table(table.replace_schema_metadata(keys), tmp_path / "in.parquet")
    score(options("stars"))
    found = {key: value or b"" for key, value in entries(split(tmp_path / "out.parquet")[1])}
    assert [field["name"] for field in json.loads(found[SPARK_KEY])["fields"]] == ["stars", *NEW]
    assert list(json.loads(found[b"huggingface"])["info"]["features"]) == ["stars", *NEW]
    assert found[b"owner"] == b"data team"
    read_by_pandas = pd.read_parquet(tmp_path / "out.parquet")
    assert list(read_by_pandas.columns) == ["stars", *NEW]
    assert list(read_by_pandas.index) == [0, 1, 2]
    score(options("stars", "k"), selection=Selection(force=True))
    assert list(pd.read_parquet(tmp_path / "out.parquet").index) == ["a", "b", "c"]


def test_a_struct_is_chosen_as_a_whole(score: Score, tmp_path: Path) -> None:
    review = pa.array([{"body": "Good.", "stars": 5}, {"body": None, "stars": 1}])
    pq.write_table(pa.table({"id": [1, 2], "review": review}), tmp_path / "in.parquet")
    for on_null, rows in (("label", 2), ("skip", 1)):
        for chosen in (["id"], ["review"]):
            score(
                options(*chosen, text_column="review.body", on_null=on_null),
                selection=Selection(force=True),
            )
            scored = read(tmp_path / "out.parquet")
            assert scored.column_names == [*chosen, *NEW]
            assert len(scored) == rows
    assert scored["review"].to_pylist() == [{"body": "Good.", "stars": 5}]


@pytest.mark.parametrize("on_null", ["label", "skip"])
@pytest.mark.parametrize(
    ("columns", "error", "match"),
    [
        (["id", "star"], MissingColumnError, "'star' is not in .*Its columns: id, text"),
        (["review.stars"], MissingColumnError, "a field of a struct cannot be listed"),
        (["ID"], MissingColumnError, "'ID' is not in"),
        (["twice"], AmbiguousColumnError, "2 columns named 'twice'.*`columns`"),
        (["sentiment_label"], ColumnExistsError, "sentiment_label.*`prefix`"),
        (["Sentiment_Label"], MissingColumnError, "is not in"),
    ],
)
def test_what_cannot_be_chosen(
    score: Score,
    tmp_path: Path,
    on_null: OnNull,
    columns: list[str],
    error: type[ImdbClassifierError],
    match: str,
) -> None:
    names = ["id", "text", "review", "twice", "twice", "sentiment_label"]
    values = [[1], ["Good."], [{"stars": 1}], [1], [2], ["x"]]
    pq.write_table(pa.table(values, names), tmp_path / "in.parquet")
    with pytest.raises(error, match=match):
        score(options(*columns, on_null=on_null))
    assert [path.name for path in tmp_path.iterdir()] == ["in.parquet"]
    # A column that is left out is in nobody's way.
    score(options("id", on_null=on_null))
    assert read(tmp_path / "out.parquet").column_names == ["id", *NEW]


@pytest.mark.parametrize("columns", [[], "id", ["id", "text", "id"]], ids=str)
def test_columns_are_a_list_of_different_names(columns: Any) -> None:
    with pytest.raises(ConfigurationError, match="at least one column, and none twice"):
        ScoreOptions(columns=columns)


def test_columns_are_an_option_like_others(score: Score, scorer: Scorer, tmp_path: Path) -> None:
    WRITERS["pandas"](tmp_path / "in.parquet")
    assert score(options("id")).status == "scored"
    content = (tmp_path / "out.parquet").read_bytes()
    assert score(ScoreOptions(columns=("id",))).status == "reused"
    with pytest.raises(OutputExistsError, match="other options"):
        score(options("id", "stars"))
    score(options("id", "stars"), selection=Selection("stale"))
    assert read(tmp_path / "out.parquet").column_names == ["id", "stars", *NEW]
    score(options("id"), selection=Selection("stale"))
    assert (tmp_path / "out.parquet").read_bytes() == content
    source, output = tmp_path / "in.parquet", tmp_path / "out.parquet"
    found = dry_run_parquet(source, output, scorer, options("id"))
    assert [file.status for file in found.files] == ["finished"]
    found = dry_run_parquet(source, tmp_path / "new.parquet", scorer, options("unknown"))
    assert "'unknown' is not in" in (found.files[0].error or "")
    # Time is estimated by the text, which is not among the columns.
    found = dry_run_parquet(source, tmp_path / "new.parquet", scorer, options("id"))
    assert found.seconds > 0


def test_a_chunk_outside_of_the_file(score: Score, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["Good."], "id": [1]}), tmp_path / "in.parquet")
    data, footer = split(tmp_path / "in.parquet")
    (group,) = structs(footer, ROW_GROUPS)
    _, chunk = structs(group, GROUP_CHUNKS)
    chunk_metadata(chunk).set(METADATA_COMPRESSED_BYTES, I64, 1 << 40)
    (tmp_path / "in.parquet").write_bytes(data + end_of_file(footer))
    with pytest.raises(UnreadableFileError, match="a column lies outside of the file"):
        score(options("id"))
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize("on_null", ["label", "skip"])
def test_scores_without_their_text_are_verified_by_the_input(
    scorer: Scorer, tmp_path: Path, on_null: OnNull
) -> None:
    (tmp_path / "in").mkdir()
    texts = [None if row % 7 == 0 else text for row, text in enumerate(TEXTS)]
    table = pa.table({"id": range(len(texts)), "text": texts})
    pq.write_table(table, tmp_path / "in" / "a.parquet", row_group_size=1_000)
    chosen = options("id", on_null=on_null)
    score_parquet(tmp_path / "in", tmp_path / "out", scorer, chosen)
    found = verify_output(tmp_path / "out", scorer)
    assert (found.problems, found.without_text, found.scored_again) == ((), (), 32)

    alone = tmp_path / "out" / "a.parquet"
    found = verify_output(alone, scorer)
    assert (found.problems, found.without_text, found.scored_again) == ((), ("a.parquet",), 0)
    found = verify_output(alone, scorer, source=tmp_path / "in" / "a.parquet")
    assert (found.problems, found.without_text, found.scored_again) == ((), (), 32)

    other = table.set_column(1, "text", table["text"].take([*range(1, len(texts)), 0]))
    pq.write_table(other, tmp_path / "in" / "a.parquet", row_group_size=1_000)
    found = verify_output(tmp_path / "out", scorer)
    assert [problem.what for problem in found.problems] == [
        "Its input is no longer what was scored."
    ]
    assert found.without_text == ("a.parquet",)


def test_scores_that_do_not_fit_the_input_are_noticed(
    scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.table({"id": range(len(TEXTS)), "text": TEXTS}), source)
    probabilities = Scorer.start

    def of_others(self: Scorer, texts: pa.Array) -> PendingProbabilities:
        return probabilities(self, pa.concat_arrays([texts.slice(1), texts.slice(0, 1)]))

    monkeypatch.setattr(Scorer, "start", of_others)
    score_parquet(source, output, scorer, options("id"))
    monkeypatch.undo()
    assert verify_output(output, scorer).problems == ()
    (problem,) = verify_output(output, scorer, source=source).problems
    assert problem.what == "The model gives its text another probability."


def test_bytes_of_chosen_columns_are_verified(scorer: Scorer, tmp_path: Path) -> None:
    source, output = tmp_path / "in.parquet", tmp_path / "out.parquet"
    WRITERS["pandas"](source)
    score_parquet(source, output, scorer, options("id"))
    content = bytearray(output.read_bytes())
    content[100] ^= 1
    output.write_bytes(content)
    found = verify_output(output, scorer, source=source)
    assert [problem.what for problem in found.problems] == ["The bytes of its input changed."]


def test_options_are_the_same_once_stored_as_json() -> None:
    chosen = ScoreOptions(columns=("id", "stars"))
    assert json.loads(json.dumps(asdict(chosen))) == asdict(chosen)
    assert ScoreOptions(**asdict(chosen)) == chosen


@pytest.mark.parametrize(
    ("writer", "is_refused"),
    [("parquet-mr version 1.2.8 (build 1)", True), ("parquet-mr version 1.12.3", False)],
)
def test_columns_whose_length_is_not_told_are_refused(
    tmp_path: Path, scorer: Scorer, writer: str, is_refused: bool
) -> None:
    source, output = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.table({"id": [1], "text": ["A fine film."]}), source)
    footer = FileFooter.read(str(source))
    tree = footer.tree()
    tree.set(6, BINARY, writer.encode())
    source.write_bytes(source.read_bytes()[: footer.begins_at] + end_of_file(tree))
    options = ScoreOptions(columns=["id"])
    with (
        pytest.raises(BadDataError, match=r"written by parquet-mr version 1\.2\.8")
        if (is_refused)
        else nullcontext()
    ):
        score_parquet(source, output, scorer, options)
    assert output.exists() != is_refused
