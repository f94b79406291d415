"""The expected accuracy of batches: its value, its interval, and when it is not to be trusted."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.batch.run import score_parquet
from imdb_classifier.monitoring.expected_accuracy import estimate_accuracy
from imdb_classifier.samples import FOLDER
from imdb_classifier.schema import ScoreHistogram
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.text.batch_profile import SCORE_BINS, BatchProfile
from tests.command_line import Run


def _counts(**ranges: int) -> tuple[int, ...]:
    return tuple(ranges.get(f"r{number}", 0) for number in range(SCORE_BINS))


def test_the_mean_confidence_is_calibrated_on_the_reviews_checked() -> None:
    # In the last range, 89 of 99 were right, in the first one all 99, and one review is added.
    checked = ScoreHistogram(negatives=_counts(r0=99, r19=10), positives=_counts(r0=0, r19=89))
    found = estimate_accuracy(BatchProfile(scores=_counts(r0=30, r19=10)), checked, ())
    assert found is not None
    assert found.value == pytest.approx((30 * 99.975 / 100 + 10 * 89.975 / 100) / 40)
    assert (found.labels, found.is_trusted) == (40, True)
    # Where nothing was checked, the middle of the range is the confidence.
    found = estimate_accuracy(BatchProfile(scores=_counts(r5=7)), checked, ["lengths"])
    assert found is not None
    assert found.value == pytest.approx(0.725)
    assert not found.is_trusted
    assert found.summary.endswith("unlike the reviews that the model was checked on (lengths).")
    assert estimate_accuracy(BatchProfile(without_text=3), checked, ()) is None


def test_only_labels_count_and_part_of_a_range_counts_in_proportion() -> None:
    # The confidence is 0.525 in the two middle ranges and 0.575 in those beside them.
    batch = BatchProfile(scores=_counts(r8=10, r9=2, r10=4, r11=30))
    found = estimate_accuracy(batch, ScoreHistogram(_counts(), _counts()), (), unsure=16)
    assert found is not None
    assert found.labels == 30
    assert found.value == pytest.approx(0.575)
    found = estimate_accuracy(batch, ScoreHistogram(_counts(), _counts()), (), unsure=3)
    assert found is not None
    assert found.value == pytest.approx((3 * 0.525 + 40 * 0.575) / 43)
    none = estimate_accuracy(batch, ScoreHistogram(_counts(), _counts()), (), unsure=46)
    assert none is None


@pytest.mark.parametrize("rows", [50, 1_000, 20_000])
def test_intervals_cover_the_accuracy_of_the_batch(rows: int) -> None:
    rng = np.random.default_rng(rows)
    covered = 0
    for _ in range(200):
        # The model is too sure of itself, which calibration corrects.
        scores = rng.beta(0.3, 0.3, 25_000 + rows)
        truth = rng.random(len(scores)) < 0.1 + 0.8 * scores
        checked, batch = np.arange(len(scores)) < 25_000, np.arange(len(scores)) >= 25_000
        histogram = ScoreHistogram(
            *(
                tuple(np.histogram(scores[checked & (truth == label)], SCORE_BINS, (0, 1))[0])
                for label in (False, True)
            )
        )
        counts = tuple(np.histogram(scores[batch], SCORE_BINS, (0, 1))[0])
        found = estimate_accuracy(BatchProfile(scores=counts), histogram, ())
        assert found is not None
        accuracy = ((scores >= 0.5) == truth)[batch].mean()
        covered += found.low <= accuracy <= found.high
    assert covered >= 182


def test_every_account_of_a_batch_has_the_same_figure(run: Run, tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    whole = pq.read_table(FOLDER)
    for number in range(3):
        pq.write_table(whole.slice(88 * number, 88), source / f"{number}.parquet")
    with Scorer.load(threads=1) as scorer:
        result = score_parquet(source, output, scorer)
    expected = result.expected_accuracy
    assert expected is not None
    assert expected.labels == 264
    # The samples are shorter than the reviews, and that is what the marks say.
    assert set(expected.outside) >= {"lengths"}
    written = {name: (output / name).read_bytes() for name in ("_MANIFEST.json", "_DRIFT.json")}
    plain = json.loads(json.dumps(asdict(expected)))
    for content in written.values():
        assert json.loads(content)["expected_accuracy"] == plain
    assert result.to_dict()["output_drift"]["expected_accuracy"] == asdict(expected)
    # In another order, by several threads, and with finished outputs, the bytes are the same.
    (output / "0.parquet").unlink()
    outcome = run("score", source, output, "--threads", "2")
    assert outcome.code == 0
    assert "Expected accuracy: " in outcome.out
    assert "untrusted: unlike the reviews that the model was checked on (" in outcome.out
    assert {name: (output / name).read_bytes() for name in written} == written
    # It is computed from the counts in the footers, which say nothing of it.
    assert "expected" not in str(pq.read_schema(output / "0.parquet").metadata)


def test_a_model_without_an_evaluation_expects_nothing(scorer: Scorer, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["A fine film."]}), tmp_path / "in.parquet")
    assert score_parquet(tmp_path / "in.parquet", tmp_path / "o", scorer).expected_accuracy is None
