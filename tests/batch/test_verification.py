from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from imdb_classifier.batch.checks.file_check import Problem
from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.batch.outputs.provenance import end_with_provenance, read_provenance
from imdb_classifier.batch.parquet_footer.file_footer import FileFooter
from imdb_classifier.batch.run import score_parquet
from imdb_classifier.batch.verification import MOST_TOGETHER, verify_output
from imdb_classifier.errors import BadDataError, NoInputError
from imdb_classifier.model.bundle import load_bundle
from imdb_classifier.registry.versions import bundled_path
from imdb_classifier.scoring.scorer import PendingProbabilities, Scorer
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


@pytest.fixture
def rewritten(output: Path, tmp_path: Path, scorer: Scorer) -> Path:
    """An output without rows that have no text, so that none of its bytes are its input's."""
    options = ScoreOptions(on_null="skip")
    score_parquet(tmp_path / "in", tmp_path / "rewritten", scorer, options)
    return tmp_path / "rewritten"


def rewrite(output: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change a file, and update the checksums in its footer and in the manifest."""
    file = output / "a.parquet"
    provenance = read_provenance(str(file))
    assert provenance
    pq.write_table(change(pq.read_table(file)), file)
    footer = FileFooter.read(str(file))
    provenance |= {"copied_bytes": 0, "data_bytes": footer.begins_at}
    provenance["added_sha256"] = sha256_of(file, 0, footer.begins_at)
    end = end_with_provenance(footer.tree(), provenance)
    file.write_bytes(file.read_bytes()[: footer.begins_at] + end)
    manifest = json.loads((output / "_MANIFEST.json").read_text())
    manifest["files"][0]["footer_digest"] = FileFooter.read(str(file)).digest
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


@pytest.mark.parametrize(
    ("column", "problems"),
    [
        pytest.param(1, ["The bytes of its input changed."], id="n"),
        pytest.param(
            3,
            [
                "The bytes of its new columns changed.",
                "column 'sentiment_probability', row group 0",
            ],
            id="probability",
        ),
    ],
)
def test_a_byte_that_flipped(
    output: Path, scorer: Scorer, column: int, problems: list[str]
) -> None:
    file = output / "day=1" / "b.parquet"
    content = bytearray(file.read_bytes())
    chunk = pq.read_metadata(file).row_group(0).column(column)
    begin = chunk.dictionary_page_offset or chunk.data_page_offset
    content[begin + chunk.total_compressed_size // 2] ^= 1
    file.write_bytes(content)
    found = verify_output(output, scorer)
    assert found.exit_code == 65
    assert [(problem.file, problem.row) for problem in found.problems] == [
        ("day=1/b.parquet", None) for _ in problems
    ]
    for problem, what in zip(found.problems, problems, strict=True):
        assert what in problem.what


def test_a_footer_that_was_changed(output: Path, scorer: Scorer) -> None:
    file = output / "a.parquet"
    content = file.read_bytes()
    assert content.count(b'"package_version"') == 1
    file.write_bytes(content.replace(b'"package_version"', b'"package_Version"'))
    what = "Its footer does not match the manifest."
    assert verify_output(output, scorer).problems == (Problem("a.parquet", None, what),)


@pytest.mark.parametrize("value", [None, 7, [], {"all": "x"}], ids=repr)
def test_a_footer_that_was_forged(output: Path, tmp_path: Path, scorer: Scorer, value: Any) -> None:
    file = output / "a.parquet"
    content, footer = file.read_bytes(), FileFooter.read(str(file))
    provenance = read_provenance(str(file))
    assert provenance
    # In an order that ends with a key of another type, whatever the value.
    for key in sorted(provenance.keys() - {"data_bytes", "package_version"}, reverse=True):
        end = end_with_provenance(footer.tree(), provenance | {key: value})
        file.write_bytes(content[: footer.begins_at] + end)
        if type(value) is type(provenance[key]):
            continue  # another number of bytes, which is found to be wrong
        (problem,) = verify_output(output, scorer).problems
        assert problem.what == "Not written by imdb-classifier, or its footer is unreadable.", key
    assert score_parquet(tmp_path / "in", output, scorer).failed[0].exit_code == 73


def test_a_single_pair_has_any_names_and_any_working_folder(
    tmp_path: Path, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "in").mkdir(parents=True)
    for name, text in (("a.parquet", "Good."), ("in/b.parquet", "Bad.")):
        pq.write_table(pa.table({"text": [text]}), tmp_path / "here" / name)
    monkeypatch.chdir(tmp_path / "here")
    score_parquet("a.parquet", "scored.parquet", scorer)
    score_parquet("in", "out", scorer)
    assert verify_output("scored.parquet", scorer, source="a.parquet").problems == ()
    (problem,) = verify_output("scored.parquet", scorer, source="in/b.parquet").problems
    assert problem.what == "Its input is no longer what was scored."
    monkeypatch.chdir(tmp_path)
    assert verify_output("here/out", scorer).problems == ()
    (tmp_path / "here").rename(tmp_path / "there")
    with pytest.raises(NoInputError, match=r"nothing to read in .*/here/in\. If it has moved"):
        verify_output("there/out", scorer)
    assert verify_output("there/out", scorer, source="there/in").problems == ()


def test_one_file_of_a_folder_finds_its_input(
    output: Path, tmp_path: Path, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of the same name, and scored from a folder further up.
    pq.write_table(pa.table({"text": ["Another."]}), tmp_path / "in" / "b.parquet")
    monkeypatch.chdir(output / "day=1")
    for path in (output / "day=1" / "b.parquet", "b.parquet"):
        found = verify_output(path, scorer, source=tmp_path / "in")
        assert (found.problems, found.files, found.rows) == ((), 1, ROWS)
    (output / "c.parquet").write_bytes((output / "a.parquet").read_bytes())
    (problem,) = verify_output(output / "c.parquet", scorer, source=tmp_path / "in").problems
    assert problem == Problem("c.parquet", None, "Its input is gone.")


@pytest.mark.parametrize("on_null", ["label", "skip"])
def test_an_input_that_was_changed_in_place(
    tmp_path: Path, scorer: Scorer, on_null: Literal["label", "skip"]
) -> None:
    source = tmp_path / "in.parquet"
    table = pa.table({"text": TEXTS, "n": range(ROWS)})
    pq.write_table(table, source, compression="none", write_statistics=False, use_dictionary=False)
    options = ScoreOptions(on_null=on_null)
    score_parquet(source, tmp_path / "out.parquet", scorer, options)
    content = bytearray(source.read_bytes())
    content[pq.read_metadata(source).row_group(0).column(1).data_page_offset + 5_000] ^= 1
    source.write_bytes(content)
    # Neither length nor footer changed, so that score does not see it.
    again = score_parquet(source, tmp_path / "out.parquet", scorer, options)
    assert again.files[0].status == "reused"
    (problem,) = verify_output(tmp_path / "out.parquet", scorer, source=source).problems
    assert problem.what == "Its input is no longer what was scored."


def test_an_unreadable_input_is_one_problem_of_many(
    output: Path, tmp_path: Path, scorer: Scorer
) -> None:
    (tmp_path / "in" / "a.parquet").write_bytes(b"no parquet")
    (output / "day=1" / "b.parquet").unlink()
    found = verify_output(output, scorer)
    assert [problem.file for problem in found.problems] == ["a.parquet", "day=1/b.parquet"]


def test_a_damaged_manifest(output: Path, scorer: Scorer) -> None:
    (output / "_MANIFEST.json").write_text('{"input": ')
    with pytest.raises(BadDataError, match=r"_MANIFEST\.json must list .* score again"):
        verify_output(output, scorer)


def test_an_output_that_does_not_begin_with_its_input(
    output: Path, tmp_path: Path, scorer: Scorer
) -> None:
    rewrite(output, lambda table: table)
    what = "It does not begin with the bytes of its input."
    assert verify_output(output, scorer).problems == (Problem("a.parquet", None, what),)
    (output / "a.parquet").write_bytes((tmp_path / "in" / "a.parquet").read_bytes())
    assert verify_output(output, scorer).exit_code == 65


def test_a_label_that_was_changed(rewritten: Path, scorer: Scorer) -> None:
    def change(table: pa.Table) -> pa.Table:
        other = {"positive": "negative", "negative": "positive"}
        return replaced(
            table, "sentiment_label", 1234, other[table["sentiment_label"][1234].as_py()]
        )

    rewrite(rewritten, change)
    found = verify_output(rewritten, scorer)
    assert found.problems[0] == Problem(
        "a.parquet", 1234, "Its label, probability and text do not agree."
    )
    assert found.problems[1].what == "Its row counts differ from its footer."


@pytest.mark.parametrize("row", [0, ROWS - 31])
def test_a_score_that_was_changed(rewritten: Path, scorer: Scorer, row: int) -> None:
    def change(table: pa.Table) -> pa.Table:
        probability = table["sentiment_probability"][row].as_py()
        return replaced(table, "sentiment_probability", row, probability + 0.0001)

    rewrite(rewritten, change)
    what = "The model gives its text another probability."
    assert verify_output(rewritten, scorer).problems == (Problem("a.parquet", row, what),)
    assert verify_output(rewritten, scorer, rows_again=0).problems == ()


def test_a_text_that_was_removed(rewritten: Path, scorer: Scorer) -> None:
    rewrite(rewritten, lambda table: replaced(table, "text", 77, " "))
    what = "Its label, probability and text do not agree."
    assert verify_output(rewritten, scorer).problems == (Problem("a.parquet", 77, what),)


def test_rows_that_are_gone(rewritten: Path, scorer: Scorer) -> None:
    rewrite(rewritten, lambda table: table.filter(pc.not_equal(table["n"], 7)))
    assert verify_output(rewritten, scorer).problems == (
        Problem("a.parquet", None, "Its row counts differ from its footer."),
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
        "Not written by imdb-classifier, or its footer is unreadable."
    )


def test_rows_of_small_files_are_scored_again_together(
    tmp_path: Path, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(100):
        texts = [f"A dull film, number {number}.", None, "A fine film."]
        pq.write_table(pa.table({"text": texts}), tmp_path / "in" / f"{number:02}.parquet")
    output = tmp_path / "out"
    score_parquet(str(tmp_path / "in"), str(output), scorer)
    at_once: list[int] = []
    start = scorer.start

    def counting(texts: pa.ChunkedArray) -> PendingProbabilities:
        at_once.append(len(texts))
        return start(texts)

    monkeypatch.setattr(scorer, "start", counting)
    found = verify_output(output, scorer)
    assert (found.problems, found.rows, found.scored_again) == ((), 300, 300)
    assert sum(at_once) == 300
    assert len(at_once) == -(-100 // MOST_TOGETHER)

    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"text": [None, "A fine film.", "A dull film."]}), other)
    score_parquet(str(other), str(tmp_path / "scored.parquet"), scorer)
    (tmp_path / "scored.parquet").replace(output / "70.parquet")
    assert {problem.file for problem in verify_output(output, scorer).problems} == {"70.parquet"}


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
