"""Why a row has its label, or none: the optional third column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.batch.run import score_parquet
from imdb_classifier.batch.verification import verify_output
from imdb_classifier.errors import ColumnExistsError
from imdb_classifier.scoring import row_reasons
from imdb_classifier.scoring.frames import score_dataframe
from imdb_classifier.scoring.scorer import Scorer
from tests.command_line import Run

LONG = "A wonderful film, wonderful and warm. " * 600
UNKNOWN = "xqzt wvvk, zzqw xqzt ffgh a film"
TEXTS = ["A wonderful film, moving and warm.", None, " ", LONG, UNKNOWN, "It is a film."]
REASONS = ["scored", "blank", "blank", "truncated", "mostly unknown words", "scored"]


@pytest.mark.covers("score --reason", "plan --reason")
def test_every_row_says_why(run: Run, tmp_path: Path) -> None:
    source, output = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.table({"text": TEXTS, "id": range(6)}), source)
    assert run("score", source, output, "--reason").code == 0
    scored = pq.read_table(output)
    assert scored.column_names[-1] == "sentiment_reason"
    assert scored["sentiment_reason"].to_pylist() == REASONS
    assert run("verify", output, "--input", source).code == 0
    planned = run("plan", source, output, "--reason", "--json").json
    assert [file["status"] for file in planned["files"]] == ["finished"]
    assert run("score", source, output).code != 0, "the options changed"
    # The other columns, and outputs without reasons, are what they were.
    assert run("score", source, tmp_path / "plain.parquet").code == 0
    plain = pq.read_table(tmp_path / "plain.parquet")
    assert plain.equals(scored.select(plain.column_names))
    assert b'"reason"' not in (tmp_path / "plain.parquet").read_bytes()
    # A rewritten file leaves out the same rows.
    rewritten = tmp_path / "skip.parquet"
    assert run("score", source, rewritten, "--reason", "--on-null", "skip").code == 0
    assert pq.read_table(rewritten)["sentiment_reason"].to_pylist() == [
        reason for reason in REASONS if reason != "blank"
    ]
    assert run("verify", rewritten).code == 0


def test_unsure_rows_are_neither_blank_nor_in_other_words() -> None:
    with Scorer.load() as scorer:
        found = score_dataframe(TEXTS, model=scorer, at_least=1.0, reason=True)
        series = score_dataframe(pd.Series(TEXTS), model=scorer, reason=True)
    assert found["sentiment_reason"].tolist() == [
        "unsure", "blank", "blank", "unsure", "mostly unknown words", "unsure",
    ]  # fmt: skip
    assert series["sentiment_reason"].tolist() == REASONS
    assert list(score_dataframe([], reason=True).columns)[-1] == "sentiment_reason"


@pytest.mark.parametrize("columns", [None, ["id"]])
def test_a_wrong_reason_is_found(
    scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: Any
) -> None:
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.table({"text": ["A wonderful film.", None], "id": [1, 2]}), source)
    with monkeypatch.context() as patched:
        patched.setattr(
            "imdb_classifier.batch.outputs.scored_rows.reasons",
            lambda remarks, *_: row_reasons.reasons(np.full_like(remarks, 2), pa.array([])),
        )
        score_parquet(source, target, scorer, ScoreOptions(reason=True, columns=columns))
    (problem,) = verify_output(target, scorer, source=source).problems
    assert (problem.row, problem.what) == (0, "Its reason is not that of its text.")


def test_a_column_of_that_name_is_not_overwritten(scorer: Scorer, tmp_path: Path) -> None:
    table = pa.table({"text": ["A wonderful film."], "Sentiment_Reason": ["mine"]})
    pq.write_table(table, tmp_path / "in.parquet")
    with pytest.raises(ColumnExistsError, match="Sentiment_Reason"):
        score_parquet(
            tmp_path / "in.parquet", tmp_path / "out.parquet", scorer, ScoreOptions(reason=True)
        )
    score_parquet(tmp_path / "in.parquet", tmp_path / "out.parquet", scorer)
    with pytest.raises(ColumnExistsError, match="sentiment_reason"):
        score_dataframe(pd.DataFrame({"text": [], "sentiment_reason": []}), reason=True)
