from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.batch.inputs.discovery import discover_files
from imdb_classifier.batch.options import ScoreOptions, Selection
from imdb_classifier.batch.outputs.appended_copy import AppendedCopy
from imdb_classifier.batch.outputs.scored_file import score_file
from imdb_classifier.batch.parquet_footer.file_footer import FileFooter
from imdb_classifier.batch.results import FileResult
from imdb_classifier.batch.units import FileToScore
from imdb_classifier.errors import (
    CannotWriteError,
    NoInputError,
    OutputExistsError,
    UnavailableError,
    UnreadableFileError,
)
from imdb_classifier.model.bundle import load_bundle
from imdb_classifier.registry.versions import bundled_path
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.text.batch_profile import BatchProfile

TEXTS = ["A wonderful film.", None, "", "  ", "Dull and badly acted.", "Good 🎬, élan"]
Score = Callable[..., FileResult]


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "in.parquet")


def test_the_same_run_gives_the_same_bytes(score: Score, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "in.parquet")
    score()
    first = (tmp_path / "out.parquet").read_bytes()
    (tmp_path / "out.parquet").unlink()
    os.utime(tmp_path / "in.parquet", (0, 0))
    score()
    assert (tmp_path / "out.parquet").read_bytes() == first


def test_the_footer_says_what_it_was_made_of(score: Score, scorer: Scorer, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "in.parquet")
    score()
    metadata = pq.read_metadata(tmp_path / "out.parquet").metadata
    footer = json.loads(metadata[b"imdb_classifier"])
    assert footer.pop("package_version")
    for key in ("input_footer", "input_sha256", "added_sha256"):
        assert re.fullmatch("[0-9a-f]{64}", footer.pop(key))
    assert footer.pop("data_bytes") == FileFooter.read(str(tmp_path / "out.parquet")).begins_at
    assert footer.pop("copied_bytes") == FileFooter.read(str(tmp_path / "in.parquet")).begins_at
    counts = footer.pop("rows")
    assert (counts["all"], counts["without_text"]) == (6, 3)
    profile = BatchProfile.from_dict(footer.pop("profile"))
    assert (profile.rows, profile.without_text) == (6, 3)
    assert footer == {
        "model_id": scorer.bundle.model_id,
        "model_hash": scorer.bundle.model_hash,
        "options": {
            "text_column": "text",
            "prefix": "sentiment_",
            "on_null": "label",
            "quarantine": False,
            "columns": None,
        },
    }


def test_a_finished_output_is_reused(score: Score, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "in.parquet")
    first = score()
    inode = (tmp_path / "out.parquet").stat().st_ino
    again = score()
    assert again.status == "reused"
    assert (again.rows, again.positive, again.negative) == (
        first.rows,
        first.positive,
        first.negative,
    )
    assert (tmp_path / "out.parquet").stat().st_ino == inode
    # An input that was only touched is the same input.
    os.utime(tmp_path / "in.parquet", (0, 0))
    assert score().status == "reused"


@pytest.mark.parametrize("change", ["model", "options", "input"])
def test_an_older_output_is_replaced_only_when_asked_for(
    score: Score, tmp_path: Path, change: str
) -> None:
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "in.parquet")
    score()
    before = (tmp_path / "out.parquet").read_bytes()
    named: dict[str, Any] = {}
    if change == "model":
        named["scorer"] = Scorer(load_bundle(bundled_path()))
    elif change == "options":
        named["options"] = ScoreOptions(prefix="mood_")
    else:
        pq.write_table(pa.table({"text": [*TEXTS, "more"]}), tmp_path / "in.parquet")
    came = {"model": r"another model \(tiny-", "options": "other options", "input": "older state"}
    with pytest.raises(OutputExistsError, match=f"{came[change]}.* with `only=new,stale`"):
        score(**named)
    assert score(**named, selection=Selection("new")).status == "outdated"
    assert (tmp_path / "out.parquet").read_bytes() == before
    assert score(**named, selection=Selection("stale")).status == "scored"
    assert (tmp_path / "out.parquet").read_bytes() != before
    assert leftovers(tmp_path) == ["out.parquet"]


def test_an_output_that_is_a_link_stays_one(score: Score, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "in.parquet")
    kept, output = tmp_path / "kept" / "a.parquet", tmp_path / "out.parquet"
    kept.parent.mkdir()
    output.symlink_to(kept)
    for number in (1, 2):
        rows = pa.table({"text": TEXTS * number})
        pq.write_table(rows, tmp_path / "in.parquet")
        assert score(selection=Selection("new,stale")).status == "scored"
        assert output.readlink() == kept
        assert pq.read_metadata(kept).num_rows == rows.num_rows
        assert leftovers(tmp_path) == ["kept", "out.parquet"]
        assert list(kept.parent.iterdir()) == [kept]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("foreign", ["text", "parquet", "our key", "our key, as JSON"])
def test_a_foreign_file_is_never_replaced(
    score: Score, tmp_path: Path, force: bool, foreign: str
) -> None:
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "in.parquet")
    if foreign == "text":
        (tmp_path / "out.parquet").write_text("mine")
    else:
        value = {"parquet": {}, "our key": {"imdb_classifier": "mine"}}.get(
            foreign, {"imdb_classifier": "[1]"}
        )
        table = pa.table({"mine": [1]}).replace_schema_metadata(value)
        pq.write_table(table, tmp_path / "out.parquet")
    before = (tmp_path / "out.parquet").read_bytes()
    with pytest.raises(OutputExistsError, match="imdb-classifier did not write it"):
        score(selection=Selection(None, force=force))
    assert (tmp_path / "out.parquet").read_bytes() == before


@pytest.mark.parametrize("links", [True, False], ids=["links", "a disk without links"])
def test_what_appears_at_the_output_during_scoring_is_never_replaced(
    score: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "in.parquet")
    output = tmp_path / "out.parquet"
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(
        OutputExistsError, match=r"out\.parquet .* wrote it during this run\. Rerun"
    ):
        score(on_rows=lambda rows: output.write_text("mine"))
    assert output.read_text() == "mine"
    output.unlink()
    assert score().status == "scored"
    # Neither is what takes the place of an output that was to be replaced.
    with pytest.raises(OutputExistsError, match=r"wrote it during this run"):
        score(selection=Selection(force=True), on_rows=lambda rows: output.write_text("mine"))
    assert output.read_text() == "mine"
    assert leftovers(tmp_path) == ["out.parquet"]


def test_what_appears_at_the_last_moment_is_not_replaced(
    score: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def too_late(source: str, target: Path) -> None:
        target.write_text("mine")
        link(source, target)

    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "in.parquet")
    monkeypatch.setattr(os, "link", too_late)
    with pytest.raises(OutputExistsError, match=r"wrote it during this run"):
        score()
    assert (tmp_path / "out.parquet").read_text() == "mine"


def damage(path: Path, kind: str) -> None:
    content = bytearray(path.read_bytes())
    groups = pq.read_metadata(path)
    if kind == "page":
        content[groups.row_group(0).column(0).data_page_offset + 5_000] ^= 1
    elif kind == "second row group":
        content[groups.row_group(1).column(0).data_page_offset + 5_000] ^= 1
    elif kind == "truncated":
        content = content[:-50]
    elif kind == "half":
        content = content[: len(content) // 2]
    elif kind == "empty":
        content = bytearray()
    elif kind == "wrong magic":
        content[-4:] = b"XXXX"
    elif kind == "another format":
        content = bytearray(b"id,text\n1,hello\n")
    path.write_bytes(content)


@pytest.mark.parametrize(
    "kind",
    ["page", "second row group", "truncated", "half", "empty", "wrong magic", "another format"],
)
def test_a_damaged_file_is_named_and_leaves_nothing(
    score: Score, tmp_path: Path, kind: str
) -> None:
    texts = pa.table({"text": [f"needle {i}" for i in range(40_000)]})
    pq.write_table(
        texts, tmp_path / "in.parquet", row_group_size=20_000, write_page_checksum=True,
        compression="none", use_dictionary=False,
    )  # fmt: skip
    assert score().rows == 40_000
    (tmp_path / "out.parquet").unlink()
    damage(tmp_path / "in.parquet", kind)
    with pytest.raises(UnreadableFileError, match=r"in\.parquet must be a readable Parquet file\."):
        score()
    assert leftovers(tmp_path) == []


def test_a_damaged_output_does_not_read_as_good_data(score: Score, tmp_path: Path) -> None:
    table = pa.table({"text": [f"needle {i}" for i in range(5_000)]})
    pq.write_table(table, tmp_path / "in.parquet")
    score()
    content = bytearray((tmp_path / "out.parquet").read_bytes())
    page = pq.read_metadata(tmp_path / "out.parquet").row_group(0).column(2)
    content[page.data_page_offset + page.total_compressed_size // 2] ^= 1
    with pytest.raises(OSError, match="CRC checksum"):
        pq.read_table(pa.BufferReader(bytes(content)), page_checksum_verification=True)


def test_an_input_that_is_gone(score: Score) -> None:
    with pytest.raises(NoInputError, match=r"in\.parquet matches no file"):
        score()


def test_an_input_that_changes_is_not_committed(score: Score, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "in.parquet")
    with pytest.raises(UnavailableError, match="must not change while it is scored"):
        score(on_rows=lambda rows: os.utime(tmp_path / "in.parquet", (1, 1)))
    with pytest.raises(UnavailableError, match="must not change while it is scored"):
        score(on_rows=lambda rows: (tmp_path / "in.parquet").unlink())
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("content", ["new", "unfinished"])
def test_an_input_that_changes_once_its_footer_is_read_is_not_committed(
    score: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    read = FileFooter.read

    def read_then_change(path: str) -> FileFooter:
        footer = read(path)
        if content == "new":
            pq.write_table(pa.table({"text": ["new"] * 100}), path)
        else:
            Path(path).write_bytes(b"PAR1" + bytes(footer.file_bytes))
        return footer

    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "in.parquet")
    monkeypatch.setattr(
        "imdb_classifier.batch.outputs.scored_file.FileFooter.read", read_then_change
    )
    with pytest.raises(UnavailableError, match="must not change while it is scored"):
        score()
    assert leftovers(tmp_path) == []


def test_an_interrupt_leaves_nothing(score: Score, tmp_path: Path) -> None:
    def interrupt(rows: int) -> None:
        raise KeyboardInterrupt

    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "in.parquet")
    with pytest.raises(KeyboardInterrupt):
        score(on_rows=interrupt)
    assert leftovers(tmp_path) == []


def test_a_full_disk_leaves_what_was_there(
    score: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "in.parquet")
    score()
    before = (tmp_path / "out.parquet").read_bytes()
    monkeypatch.setattr("imdb_classifier.storage.disk.local.os.replace", full)
    with pytest.raises(CannotWriteError, match=r"out\.parquet failed: No space left on device"):
        score(ScoreOptions(prefix="mood_"), selection=Selection("stale"))
    assert (tmp_path / "out.parquet").read_bytes() == before
    assert leftovers(tmp_path) == ["out.parquet"]


def test_an_output_without_all_rows_is_not_committed(
    score: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "in.parquet")
    write = AppendedCopy.write
    monkeypatch.setattr(
        AppendedCopy,
        "write",
        lambda copy, rows: write(copy, replace(rows, labels=pa.nulls(6, pa.string()))),
    )
    with pytest.raises(
        CannotWriteError, match="6 rows with 0 labels were written in place of 6 rows with 3"
    ):
        score()
    assert leftovers(tmp_path) == []


def test_a_folder_that_cannot_be_made(scorer: Scorer, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "in.parquet")
    (tmp_path / "file").touch()
    source, output = tmp_path / "in.parquet", tmp_path / "file" / "out.parquet"
    (file,) = discover_files(str(source), str(output)).files
    with pytest.raises(CannotWriteError, match=r"Writing .* failed: File exists"):
        score_file(FileToScore(file, 6, False), scorer, ScoreOptions())
