from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chi2

from imdb_classifier.batch.options import Selection
from imdb_classifier.batch.run import score_parquet
from imdb_classifier.errors import ConfigurationError, OutputExistsError
from imdb_classifier.monitoring.drift import CHANCE, Drift, _chi_squared, measure_drift
from imdb_classifier.monitoring.drift_limits import DriftLimits
from imdb_classifier.monitoring.drift_page import render_drift
from imdb_classifier.schema import ScoreHistogram
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.text.batch_profile import LENGTH_EDGES, SCORE_BINS, BatchProfile


def _profile(probabilities: NDArray[np.float64], **counts: int) -> BatchProfile:
    scores = np.histogram(probabilities, SCORE_BINS, (0, 1))[0]
    texts = len(probabilities)
    return BatchProfile(
        **{
            "positive": int((probabilities >= 0.5).sum()),
            "words": 200 * texts,
            "unknown_words": 2 * texts,
            **counts,
        },
        lengths=(0, 0, texts, *(0,) * (len(LENGTH_EDGES) - 2)),
        scores=tuple(scores.tolist()),
    )


def _usual(rows: int, seed: int) -> BatchProfile:
    return _profile(np.random.default_rng(seed).beta(0.4, 0.4, rows))


def _crossed(drift: Drift) -> list[str]:
    return [measure.name for measure in drift.crossed]


@pytest.mark.parametrize("rows", [10, 200, 20_000])
def test_batches_of_one_kind_do_not_drift(rows: int) -> None:
    reference = _usual(25_000, 0)
    found = [_crossed(measure_drift("m", _usual(rows, seed), reference)) for seed in range(1, 101)]
    assert found == [[]] * 100


@pytest.mark.parametrize(
    ("batch", "names"),
    [
        (_profile(np.random.default_rng(1).beta(0.4, 1.6, 5_000)), ["scores", "positive"]),
        (_profile(np.random.default_rng(1).beta(4, 4, 5_000)), ["scores"]),
        (
            _profile(np.random.default_rng(1).beta(0.4, 0.4, 5_000), unknown_words=80_000),
            ["unknown_words"],
        ),
        (_profile(np.random.default_rng(1).beta(0.4, 0.4, 5_000), truncated=600), ["truncated"]),
        (
            _profile(np.random.default_rng(1).beta(0.4, 0.4, 5_000), without_text=600),
            ["without_text"],
        ),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else "",
)
def test_each_change_crosses_its_own_limit(batch: BatchProfile, names: list[str]) -> None:
    assert _crossed(measure_drift("m", batch, _usual(25_000, 0))) == names


def test_a_change_within_chance_does_not_count() -> None:
    drift = measure_drift("m", _profile(np.full(3, 0.9)), _usual(25_000, 0))
    by_name = {measure.name: measure for measure in drift.measures}
    assert by_name["positive"].change > by_name["positive"].limit
    assert not by_name["positive"].crossed


def test_limits_of_ones_own() -> None:
    batch = _profile(np.random.default_rng(1).beta(0.4, 1.6, 5_000))
    limits = DriftLimits.of({"scores": 9, "positive": 1})
    checked = ScoreHistogram((1,) * SCORE_BINS, (1,) * SCORE_BINS)
    drift = measure_drift("m", batch, _usual(25_000, 0), limits, checked)
    assert not drift.crossed
    # They silence the alarm, and make the estimate no more trustworthy.
    assert drift.expected_accuracy is not None
    assert drift.expected_accuracy.outside == ("scores",)


@pytest.mark.parametrize("limits", [{"colour": 1.0}, {"scores": -1.0}, {"scores": float("nan")}])
def test_other_limits_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="Drift limits are scores, lengths,"):
        DriftLimits.of(limits)


def test_a_batch_without_text_has_no_measures() -> None:
    drift = measure_drift("m", BatchProfile(without_text=3), _usual(100, 0))
    assert (drift.rows, drift.measures, drift.crossed) == (3, (), ())
    assert "| 0.9 to 1.0 | 0.0 % |" in render_drift(drift)


@pytest.mark.parametrize("freedom", [5, 9])
def test_chi_squared_is_scipys(freedom: int) -> None:
    assert _chi_squared(freedom) == pytest.approx(chi2.isf(CHANCE, freedom), rel=0.02)


@given(st.lists(st.lists(st.floats(0, 1, width=32), max_size=5), max_size=5))
def test_profiles_add_up(parts: list[list[float]]) -> None:
    whole = np.array([value for part in parts for value in part])
    assert sum((_profile(np.array(part)) for part in parts), BatchProfile()) == _profile(whole)


def test_a_batch_is_compared_whatever_was_there_already(scorer: Scorer, tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    texts = ["A wonderful film, wonderful.", None, "dreadful " * 4_000, " "]
    for number in range(3):
        pq.write_table(pa.table({"text": texts}), source / f"{number}.parquet")
    with Scorer.load() as bundled:
        first = score_parquet(str(source), str(output), bundled)
        written = (output / "_DRIFT.json").read_bytes()
        (output / "1.parquet").unlink()
        again = score_parquet(str(source), str(output), bundled)
        alone = score_parquet(str(source / "0.parquet"), str(tmp_path / "0.parquet"), bundled)
    assert first.drift is not None
    assert first.drift == first.output_drift == again.output_drift
    assert again.drift is not None
    assert again.drift.batch.rows == 4
    assert (output / "_DRIFT.json").read_bytes() == written
    batch = first.drift.batch
    assert (batch.rows, batch.texts, batch.without_text, batch.truncated) == (12, 6, 6, 3)
    assert (batch.words, batch.lengths) == (3 * 4_004, (3, 0, 0, 0, 0, 3))
    assert first.drift.reference.texts == 25_000
    assert alone.drift is not None
    assert alone.drift.batch.rows == 4
    assert json.loads((tmp_path / "_0_parquet.drift.json").read_text()) == json.loads(
        json.dumps(alone.drift.to_dict())
    )
    # A model without an evaluation has no reference, and an older comparison goes.
    replaced = score_parquet(
        *(str(source / "0.parquet"), str(tmp_path / "0.parquet"), scorer),
        selection=Selection(force=True),
    )
    assert replaced.drift is None
    assert not (tmp_path / "_0_parquet.drift.json").exists()


@pytest.mark.parametrize("name", ["_DRIFT.json", "_0_parquet.drift.json"])
@pytest.mark.parametrize("content", ["mine", "[1]", '{"rows": 3, "model_id": "m"}', ""])
def test_files_of_others_are_no_reports(
    scorer: Scorer, tmp_path: Path, name: str, content: str
) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    for folder in (source, output):
        folder.mkdir()
    pq.write_table(pa.table({"text": ["A fine film."]}), source / "0.parquet")
    (output / name).write_text(content)
    (output / "_SUCCESS").touch()
    paths = (source, output) if name == "_DRIFT.json" else (source / "0.parquet", output)
    with pytest.raises(OutputExistsError, match=rf"out/{name} .* imdb-classifier did not write it"):
        score_parquet(*paths, scorer)
    assert (output / name).read_text() == content
    assert sorted(path.name for path in output.iterdir()) == sorted([name, "_SUCCESS"])
