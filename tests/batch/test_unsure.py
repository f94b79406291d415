"""Labels only where the model is sure: what is written, counted, checked and recorded."""

from __future__ import annotations

import json
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
from imdb_classifier.errors import ConfigurationError
from imdb_classifier.samples import FOLDER
from imdb_classifier.scoring.frames import score_dataframe
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.scoring.text_columns import labels
from tests.command_line import SAMPLE, Run


def test_a_confidence_counts_on_both_sides() -> None:
    probabilities = pa.array([0.9, 0.1, 0.8999, 0.1001, 0.5, None], pa.float32())
    assert labels(probabilities, 0.9).to_pylist() == ["positive", "negative", *[None] * 4]
    assert labels(probabilities, 0.9, "?").to_pylist() == [
        "positive", "negative", "?", "?", "?", None,
    ]  # fmt: skip
    assert labels(probabilities, 0.5).equals(labels(probabilities))


@pytest.mark.parametrize(
    ("at_least", "unsure_label", "message"),
    [
        (90, None, r"from 0\.5 to 1: 90 % is 0\.9\. It is 90"),
        (0.4, None, "`at_least` must be"),
        (float("nan"), None, "`at_least` must be"),
        (None, "unsure", r"There is no `at_least`"),
        (0.9, "", "`unsure_label` must be a name other than"),
        (0.9, "positive", "`unsure_label` must be a name other than"),
        (0.9, "negative", "`unsure_label` must be a name other than"),
        (1.01, None, "`at_least` must be"),
    ],
)
def test_other_values_are_refused(at_least: Any, unsure_label: Any, message: str) -> None:
    options = {"at_least": at_least, "unsure_label": unsure_label}
    with pytest.raises(ConfigurationError, match=message):
        ScoreOptions(**options)
    with pytest.raises(ConfigurationError, match=message):
        score_dataframe(["A fine film."], **options)


@pytest.mark.covers("score --at-least", "score --unsure-label")
def test_unsure_rows_are_counted_everywhere(run: Run, tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    rows = pq.read_table(SAMPLE).select(["text"])
    for number in range(2):
        blank = pa.table({"text": [" ", None]})
        pq.write_table(pa.concat_tables([rows, blank]), source / f"{number}.parquet")
    outcome = run("score", source, output, "--at-least", "0.9", "--unsure-label", "unsure")
    assert outcome.code == 0
    scored = pq.read_table(output / "0.parquet")
    named = scored["sentiment_label"].to_pylist()
    probabilities = scored["sentiment_probability"].to_numpy()
    confident = np.maximum(probabilities, 1 - probabilities) >= np.float32(0.9)
    unsure = named.count("unsure")
    assert 0 < unsure == 86 - confident.sum()
    assert named[-2:] == [None, None]
    cells = [line.replace("\u2502", " ").split() for line in outcome.out.splitlines()]
    positive, negative = named.count("positive"), named.count("negative")
    expected = [88, positive, negative, 2, unsure]
    assert ["scored", *map(str, expected)] in [row[1:] for row in cells]

    manifest = json.loads((output / "_MANIFEST.json").read_text())
    drift = json.loads((output / "_DRIFT.json").read_text())
    assert manifest["totals"]["unsure"] == drift["unsure"] == 2 * unsure
    assert manifest["expected_accuracy"]["labels"] == 2 * (positive + negative)
    assert [file["unsure"] for file in manifest["files"]] == [unsure] * 2
    assert manifest["options"]["at_least"] == 0.9
    everything = run("score", source, tmp_path / "all", "--json").json
    assert everything["totals"]["unsure"] == everything["drift"]["unsure"] == 0
    # The labels that remain are those that are more likely right.
    of_all = everything["drift"]["expected_accuracy"]["value"]
    assert drift["expected_accuracy"]["value"] > of_all + 0.03
    for name in ("0.parquet", "_MANIFEST.json"):
        assert b"at_least" not in (tmp_path / "all" / name).read_bytes()

    assert verify_output(output).problems == ()
    # Another confidence or name is another output.
    again = run("score", source, output, "--at-least", "0.9", "--unsure-label", "unsure", "--json")
    assert again.json["totals"]["reused"] == 2
    assert again.json["totals"]["unsure"] == 2 * unsure
    for other in ([], ["--at-least", "0.9"], ["--at-least", "0.8", "--unsure-label", "unsure"]):
        refused = run("score", source, output, *other)
        assert refused.code != 0
        assert "it was scored from other options" in refused.err


@pytest.mark.parametrize("columns", [None, ["id"]])
@pytest.mark.parametrize("unsure_label", [None, "unsure"])
@pytest.mark.parametrize("on_null", ["label", "skip"])
def test_outputs_with_unsure_rows_are_verified(
    scorer: Scorer, tmp_path: Path, columns: Any, unsure_label: Any, on_null: Any
) -> None:
    texts = ["A wonderful film.", None, "Dull.", " ", "It is a film."] * 20
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.table({"text": texts, "id": range(100)}), source)
    # The tiny model is never that sure.
    options = ScoreOptions(
        columns=columns, at_least=1.0, unsure_label=unsure_label, on_null=on_null
    )
    result = score_parquet(source, target, scorer, options)
    counted = result.totals()
    assert (counted["unsure"], counted["positive"], counted["negative"]) == (60, 0, 0)
    named = pq.read_table(target)["sentiment_label"].to_pylist()
    assert named.count(unsure_label) == (60 if unsure_label else len(named))
    assert pq.read_table(target)["sentiment_probability"].null_count == (
        0 if on_null == "skip" else 40
    )
    for named_source in (None, source):
        found = verify_output(target, scorer, source=named_source)
        assert found.problems == ()


def test_a_label_that_should_not_be_there_is_found(
    scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.table({"text": ["A wonderful film.", "Dull."]}), source)
    with monkeypatch.context() as patched:
        patched.setattr(
            "imdb_classifier.batch.outputs.scored_rows.labels", lambda found, *_: labels(found)
        )
        score_parquet(source, target, scorer, ScoreOptions(at_least=1.0))
    (problem,) = verify_output(target, scorer).problems
    assert (problem.row, problem.what) == (0, "Its label, probability and text do not agree.")


def test_frames_have_labels_where_the_model_is_sure() -> None:
    frame = pd.DataFrame({"text": [*pq.read_table(FOLDER)["text"].to_pylist()[:40], None]})
    everything = score_dataframe(frame)
    for unsure_label in (None, "unsure"):
        sure = score_dataframe(frame, at_least=0.9, unsure_label=unsure_label)
        probabilities = sure["sentiment_probability"]
        assert probabilities.equals(everything["sentiment_probability"])
        kept = np.maximum(probabilities, 1 - probabilities) >= np.float32(0.9)
        assert 0 < kept.sum() < 40
        assert (sure["sentiment_label"][kept] == everything["sentiment_label"][kept]).all()
        unsure = sure["sentiment_label"][:40][~kept[:40]]
        assert (unsure.isna() if unsure_label is None else unsure == "unsure").all()
        assert pd.isna(sure["sentiment_label"][40])
