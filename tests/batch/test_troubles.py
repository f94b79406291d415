from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.batch.results import FileResult
from imdb_classifier.batch.run import score_parquet
from imdb_classifier.errors import EXIT_DONE, EXIT_PARTIAL
from imdb_classifier.scoring.scorer import Scorer
from tests.footers import assert_appended
from tests.troublesome import CASES, Case, long_case, make_folder, printable

LEGAL = [case for case in CASES if case.refused is None]
ODDLY_NAMED = [case for case in LEGAL if case.file.startswith("names/")]
REFUSED = [case for case in CASES if case.refused is not None]


@dataclass(frozen=True)
class Corpus:
    """The cases, scored: results by the case's name."""

    source: Path
    output: Path
    results: dict[str, FileResult]
    exit_codes: set[int]


@pytest.fixture(scope="module")
def corpus(scorer: Scorer, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("troublesome")
    made = Corpus(folder / "in", folder / "out", {}, set())
    make_folder(made.source)
    for column in {case.text_column for case in CASES}:
        run = score_parquet(
            str(made.source / column), str(made.output / column), scorer, ScoreOptions(column)
        )
        made.exit_codes.add(run.exit_code)
        made.results.update({printable(f"{column}/{file.name}"): file for file in run.files})
    return made


def read(folder: Path, case: Case) -> pa.Table:
    # Not by path: it may be no UTF-8. Not with read_table: Hive keys would become columns.
    with (folder / case.text_column / case.file).open("rb") as file:
        return pq.ParquetFile(file).read()


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def assert_scored(scored: pa.Table, case: Case, scorer: Scorer) -> None:
    expected = scorer.probabilities(pa.array(case.texts, pa.string()))
    probability = scored["sentiment_probability"]
    assert probability.is_null().to_pylist() == expected.is_null().to_pylist()
    np.testing.assert_allclose(
        probability.to_numpy(), expected.to_numpy(zero_copy_only=False), atol=1e-6
    )
    assert scored["sentiment_label"].to_pylist() == [
        value if value is None else "positive" if value >= 0.5 else "negative"
        for value in probability.to_pylist()
    ]


def test_every_case_has_a_result_and_nothing_else_has(corpus: Corpus) -> None:
    assert sorted(corpus.results) == sorted(case.name for case in CASES)
    assert corpus.exit_codes == {EXIT_PARTIAL}


def test_the_output_holds_the_legal_files_and_nothing_else(corpus: Corpus) -> None:
    files = [path.relative_to(corpus.output) for path in files_in(corpus.output)]
    # What there may be is listed before it is written.
    scored = [path for path in files if path.name != "_MANIFEST.json"]
    assert sorted(printable(str(path)) for path in scored) == sorted(case.name for case in LEGAL)


def test_refused_files_leave_no_folders_behind(corpus: Corpus) -> None:
    folders = {path for path in corpus.output.rglob("*") if path.is_dir()}
    assert (
        folders - {parent for path in files_in(corpus.output) for parent in path.parents} == set()
    )


@pytest.mark.parametrize("case", LEGAL, ids=lambda case: case.name)
def test_a_legal_file_is_scored_in_full(corpus: Corpus, scorer: Scorer, case: Case) -> None:
    result = corpus.results[case.name]
    assert (result.status, result.error) == ("scored", None)
    scored = read(corpus.output, case)
    assert_scored(scored, case, scorer)
    labels = scored["sentiment_label"].to_pylist()
    assert result.rows == len(labels)
    assert (result.positive, result.negative, result.without_text) == tuple(
        labels.count(label) for label in ("positive", "negative", None)
    )


@pytest.mark.parametrize("case", LEGAL, ids=lambda case: case.name)
def test_a_legal_file_keeps_its_columns(corpus: Corpus, case: Case) -> None:
    assert corpus.results[case.name].error is None
    original, scored = read(corpus.source, case), read(corpus.output, case)
    columns = scored.select(range(original.num_columns))
    assert columns.equals(original)
    for before, after in zip(original.schema, columns.schema, strict=True):
        assert after.equals(before, check_metadata=True)
    name = Path(case.text_column, case.file)
    assert_appended(corpus.source / name, corpus.output / name)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_any_other_file_is_refused(corpus: Corpus, case: Case) -> None:
    result = corpus.results[case.name]
    assert (result.status, result.output) == ("failed", None)
    assert result.error is not None
    error = printable(result.error)
    assert printable(case.file) in error
    assert re.search(case.match, error)
    assert "canary" not in error


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_any_other_file_is_refused_alone(
    corpus: Corpus, scorer: Scorer, tmp_path: Path, case: Case
) -> None:
    assert case.refused is not None
    source, options = corpus.source / case.text_column / case.file, ScoreOptions(case.text_column)
    with pytest.raises(case.refused) as caught:
        score_parquet(str(source), str(tmp_path / "out.parquet"), scorer, options)
    assert re.search(case.match, str(caught.value))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_said_of_a_file_can_be_printed(corpus: Corpus, case: Case) -> None:
    result = corpus.results[case.name]
    assert f"{result.name} {result.output} {result.error}".isprintable()


def test_a_folder_of_odd_names_is_finished(corpus: Corpus, scorer: Scorer, tmp_path: Path) -> None:
    run = score_parquet(str(corpus.source / "text" / "names"), str(tmp_path / "out"), scorer)
    assert run.exit_code == EXIT_DONE
    assert (tmp_path / "out" / "_SUCCESS").exists()
    manifest = json.loads((tmp_path / "out" / "_MANIFEST.json").read_bytes())
    assert [file["name"] for file in manifest["files"]] == [file.name for file in run.files]


@pytest.mark.parametrize("case", ODDLY_NAMED, ids=lambda case: case.name)
def test_an_odd_name_can_be_named_alone(
    corpus: Corpus, scorer: Scorer, tmp_path: Path, case: Case
) -> None:
    source, target = corpus.source / case.text_column / case.file, tmp_path / "out.parquet"
    assert score_parquet(str(source), str(target), scorer).files[0].status == "scored"


def test_a_review_of_100_mb(scorer: Scorer, tmp_path: Path) -> None:
    case = long_case()
    make_folder(tmp_path / "in", [case])
    score_parquet(str(tmp_path / "in" / "text"), str(tmp_path / "out" / "text"), scorer)
    scored = read(tmp_path / "out", case)
    assert_scored(scored, case, scorer)
    assert scored["text"].to_pylist() == case.texts
