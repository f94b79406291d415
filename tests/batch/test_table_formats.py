"""Folders of tables that list their files: Delta, Hudi and Iceberg."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.batch.inputs.discovery import discover_files
from imdb_classifier.batch.run import score_parquet
from imdb_classifier.batch.verification import verify_output
from imdb_classifier.errors import BadDataError, MissingExtraError, NoInputError
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.storage import storage_of
from tests.extras import needs

VECTORS = {
    "minReaderVersion": 3,
    "minWriterVersion": 7,
    "readerFeatures": ["deletionVectors"],
    "writerFeatures": ["deletionVectors"],
}


def texts(*rows: str, **columns: object) -> pa.Table:
    return pa.table({"text": list(rows), **columns})


def write(table: Path, rows: pa.Table, **options: Any) -> None:
    from deltalake import write_deltalake

    write_deltalake(str(table), rows, **options)


def files(source: Path | str, output: Path) -> list[str]:
    return [file.name for file in discover_files(str(source), str(output)).files]


def scored_texts(source: Path | str, output: Path, scorer: Scorer) -> list[str]:
    """Score a table, verify the output, and return the texts in it."""
    result = score_parquet(source, output, scorer)
    assert (result.exit_code, verify_output(output, scorer).problems) == (0, ())
    found = [pq.ParquetFile(file).read()["text"].to_pylist() for file in output.rglob("*.parquet")]
    return sorted(text for part in found for text in part)


def log_of(table: Path, *actions: dict[str, Any], protocol: object = None, **metadata: Any) -> None:
    """Write the first entry of a table's log by hand."""
    field = {"name": "text", "type": "string", "nullable": True, "metadata": {}}
    if "delta.columnMapping.mode" in metadata.get("configuration", {}):
        field["metadata"] = {
            "delta.columnMapping.id": 1,
            "delta.columnMapping.physicalName": "col-1",
        }
    entries = [
        {"protocol": protocol or {"minReaderVersion": 1, "minWriterVersion": 2}},
        {
            "metaData": {
                "id": "5c8c3043-b13f-490c-8417-1f1c6e12fae1",
                "format": {"provider": "parquet", "options": {}},
                "schemaString": json.dumps({"type": "struct", "fields": [field]}),
                "partitionColumns": [],
                "configuration": {},
                **metadata,
            }
        },
        *actions,
    ]
    (table / "_delta_log").mkdir(parents=True, exist_ok=True)
    log = "\n".join(json.dumps(entry) for entry in entries)
    (table / "_delta_log" / f"{0:020}.json").write_text(log)


def add(path: str, **more: Any) -> dict[str, Any]:
    values = {"partitionValues": {}, "size": 1, "modificationTime": 0, "dataChange": True}
    return {"add": {"path": path, **values, **more}}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A Delta table of three files, after a delete and an append: four rows, one of them gone."""
    from deltalake import DeltaTable

    write(tmp_path / "table", texts("Good.", "Deleted on request."))
    write(tmp_path / "table", texts("Bad.", "Dull."), mode="append")
    DeltaTable(str(tmp_path / "table")).delete("text = 'Deleted on request.'")
    return tmp_path / "table"


@needs("deltalake", "delta")
def test_only_live_rows_of_a_delta_table_are_scored(
    table: Path, tmp_path: Path, scorer: Scorer
) -> None:
    from deltalake import DeltaTable

    output = tmp_path / "out"
    assert scored_texts(table, output, scorer) == ["Bad.", "Dull.", "Good."]
    assert discover_files(str(table), str(output)).ignored == ()
    # A plain folder.
    assert not (output / "_delta_log").exists()
    assert len(list(table.glob("*.parquet"))) == 3
    DeltaTable(str(table)).optimize.compact()
    assert scored_texts(table, tmp_path / "small", scorer) == ["Bad.", "Dull.", "Good."]
    assert len(files(table, output)) == 1
    write(table, texts("New."), mode="overwrite")
    assert scored_texts(table, tmp_path / "new", scorer) == ["New."]


@needs("deltalake", "delta")
def test_partitions_keep_their_folders(tmp_path: Path, scorer: Scorer) -> None:
    # "%" is escaped twice in the log; deltalake cannot open folders that have it in their names.
    table = tmp_path / "100% a b" / "table"
    table.parent.mkdir()
    made = texts("Good.", "Bad.", "Dull.", day=["x y/ü%:", "k", None])
    write(tmp_path / "made", made, partition_by=["day"])
    (tmp_path / "made").rename(table)
    found = files(table, tmp_path / "out")
    assert [Path(name).parent.name for name in found] == [
        "day=__HIVE_DEFAULT_PARTITION__",
        "day=k",
        "day=x%20y%2F%C3%BC%25%3A",
    ]
    assert scored_texts(table, tmp_path / "out", scorer) == ["Bad.", "Dull.", "Good."]
    assert all((tmp_path / "out" / name).is_file() for name in found)


@needs("deltalake", "delta")
def test_a_log_is_read_from_its_last_checkpoint_on(tmp_path: Path) -> None:
    from deltalake import DeltaTable

    table = tmp_path / "table"
    for number in range(4):
        write(table, texts(f"Film {number}."), mode="append" if number else "error")
        if number == 2:
            DeltaTable(str(table)).create_checkpoint()
    live = files(table, tmp_path / "out")
    assert len(live) == 4
    # Such as the clean-up of a log leaves it.
    for version in (0, 1):
        (table / "_delta_log" / f"{version:020}.json").unlink()
    assert files(table, tmp_path / "out") == live


@needs("deltalake", "delta")
def test_a_delta_table_in_an_object_store(
    table: Path, bucket: str, tmp_path: Path, scorer: Scorer
) -> None:
    for file in table.rglob("*"):
        if file.is_file():
            path = f"{bucket}/lake/table/{file.relative_to(table)}"
            with storage_of(path).writing(path) as copy:
                Path(copy).write_bytes(file.read_bytes())
    assert files(f"{bucket}/lake/table", tmp_path) == files(table, tmp_path)
    assert scored_texts(f"{bucket}/lake/table/", tmp_path / "out", scorer) == [
        "Bad.",
        "Dull.",
        "Good.",
    ]
    for source in ("lake", "lake/*/*.parquet", "lake/table/*.parquet", "**/*.parquet"):
        with pytest.raises(BadDataError, match=r"Pass s3://.*/lake/table as `source`"):
            discover_files(f"{bucket}/{source}", str(tmp_path))


@needs("deltalake", "delta")
def test_deletion_vectors_are_refused(tmp_path: Path) -> None:
    table = tmp_path / "table"
    vector = {"storageType": "u", "offset": 4, "sizeInBytes": 40, "cardinality": 6}
    log_of(table, add("a.parquet"), protocol=VECTORS)
    assert files(table, tmp_path / "out") == ["a.parquet"]
    vector["pathOrInlineDv"] = "ab^-aqEH.-t@S}K{vb[*k^"
    log_of(table, add("a.parquet", deletionVector=vector), protocol=VECTORS)
    with pytest.raises(BadDataError, match=r"deletion vectors\. .*REORG TABLE .* APPLY \(PURGE\)"):
        discover_files(str(table), str(tmp_path / "out"))


@needs("deltalake", "delta")
def test_column_mapping_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "table"
    log_of(
        table,
        add("a.parquet"),
        protocol={"minReaderVersion": 2, "minWriterVersion": 5},
        configuration={"delta.columnMapping.mode": "name"},
    )
    with pytest.raises(BadDataError, match=r"Column mapping is not .*plain folder"):
        discover_files(str(table), str(tmp_path / "out"))


@needs("deltalake", "delta")
@pytest.mark.parametrize(
    "path", ["s3://bucket/t/a.parquet", "/t/a.parquet", "file:///t/a.parquet", "../t/a.parquet"]
)
def test_files_elsewhere_are_refused(tmp_path: Path, path: str) -> None:
    log_of(tmp_path / "table", add("b.parquet"), add(path))
    with pytest.raises(BadDataError, match=rf"in its folder\. {path} of .*shallow clone"):
        discover_files(str(tmp_path / "table"), str(tmp_path / "out"))


@needs("deltalake", "delta")
def test_partition_values_that_no_folder_has_are_refused(tmp_path: Path) -> None:
    day = {"partitionValues": {"text": "x"}}
    log_of(tmp_path / "table", add("aB/a.parquet", **day), partitionColumns=["text"])
    with pytest.raises(BadDataError, match=r"aB/a\.parquet of .* has none for text"):
        discover_files(str(tmp_path / "table"), str(tmp_path / "out"))


@needs("deltalake", "delta")
def test_logs_without_rows_and_damaged_logs(tmp_path: Path) -> None:
    table = tmp_path / "table"
    log_of(table)
    with pytest.raises(NoInputError, match=r"table has none"):
        discover_files(str(table), str(tmp_path / "out"))
    (table / "_delta_log" / f"{0:020}.json").write_text("{nonsense")
    with pytest.raises(BadDataError, match=r"log of a Delta table must be readable"):
        discover_files(str(table), str(tmp_path / "out"))


def test_without_deltalake_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_of(tmp_path / "table", add("a.parquet"))
    original = builtins.__import__

    def missing(name: str, *arguments: Any, **named: Any) -> Any:
        if name.partition(".")[0] == "deltalake":
            raise ImportError(name)
        return original(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingExtraError, match=r"Delta table.*imdb-classifier\[delta\]"):
        discover_files(str(tmp_path / "table"), str(tmp_path / "out"))


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A folder with plain files and tables in each format."""
    for name in (
        "plain/a.parquet",
        "plain/data/b.parquet",
        "plain/metadata/c.parquet",
        "delta/day=1/a.parquet",
        "delta/_delta_log/00000000000000000000.json",
        "hudi/2026/11/a.parquet",
        "hudi/.hoodie/hoodie.properties",
        "iceberg/data/day=1/a.parquet",
        "iceberg/metadata/v1.metadata.json",
    ):
        (tmp_path / "lake" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "lake" / name).touch()
    return tmp_path / "lake"


@pytest.mark.parametrize(
    ("source", "table"),
    [
        ("", "delta"),
        ("**/*.parquet", "delta"),
        ("delta/day=1", "delta"),
        ("delta/day=*/*.parquet", "delta"),
        ("*/day=*/*", "delta"),
        ("hudi", "hudi"),
        ("h*/2026/**", "hudi"),
        ("iceberg", "iceberg"),
        ("iceberg/data", "iceberg"),
        ("iceberg/data/day=1/", "iceberg"),
        ("iceberg/d*/**/*.parquet", "iceberg"),
    ],
)
def test_tables_are_not_taken_for_plain_folders(
    lake: Path, tmp_path: Path, source: str, table: str
) -> None:
    way_out = rf"Pass {lake}/delta as `source`" if table == "delta" else "Write the table"
    with pytest.raises(BadDataError, match=rf"(?i)the {table} table .*lake/{table}\. {way_out}"):
        discover_files(f"{lake}/{source}", str(tmp_path / "out"))


@pytest.mark.parametrize(
    "source", ["plain", "p*/**/*.parquet", "plain/data", "delta/day=1/a.parquet"]
)
def test_other_folders_stay_plain(lake: Path, tmp_path: Path, source: str) -> None:
    assert files(f"{lake}/{source}", tmp_path / "out")
