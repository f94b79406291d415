from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.errors import MissingColumnError, NoInputError
from imdb_classifier.pipeline.label_changes import LARGEST, check_batch, find_label_changes
from imdb_classifier.registry.access import CHAMPION
from imdb_classifier.samples import FOLDER
from imdb_classifier.scoring.scorer import Scorer


def test_labels_that_change_are_counted_and_named(scorer: Scorer, tmp_path: Path) -> None:
    texts = pq.read_table(FOLDER / "test-00000-of-00001.parquet")["text"].to_pylist()
    parts = {"a.parquet": [None, *texts[:40]], "day=1/b.parquet": [*texts[40:], " "]}
    for name, part in parts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pq.write_table(pa.table({"body": part}), tmp_path / name, row_group_size=7)
    with Scorer.load(CHAMPION) as champion:
        found = find_label_changes(str(tmp_path), "body", scorer, champion)
        expected = {
            (name, row): (ours, theirs)
            for name, part in parts.items()
            for row, (ours, theirs) in enumerate(
                zip(
                    scorer.probabilities(pa.array(part, pa.string())).to_pylist(),
                    champion.probabilities(pa.array(part, pa.string())).to_pylist(),
                    strict=True,
                )
            )
            if ours is not None and (ours >= 0.5) != (theirs >= 0.5)
        }
        same = find_label_changes(str(tmp_path / "a.parquet"), "body", champion, champion)
    assert found.rows == 86
    assert found.to_positive + found.to_negative == len(expected) > 0
    assert found.to_positive == sum(ours >= 0.5 for ours, _ in expected.values())
    listed = {(change.file, change.row): change for change in found.largest}
    assert len(listed) == min(len(expected), LARGEST)
    for place, change in listed.items():
        assert (change.challenger_probability, change.champion_probability) == expected[place]
    moves = [abs(f.challenger_probability - f.champion_probability) for f in found.largest]
    assert moves == sorted(moves, reverse=True)
    assert found.move_quantiles["100%"] >= moves[0] >= found.move_quantiles["50%"] > 0
    assert (same.share, same.mean_move, same.largest) == (0, 0, ())


def test_a_batch_must_hold_text(scorer: Scorer, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": [None, " "]}), tmp_path / "a.parquet")
    with pytest.raises(NoInputError, match=r"must contain text.*`batch`"):
        check_batch(str(tmp_path), "text")
    with pytest.raises(NoInputError, match=r"must contain text.*`batch`"):
        find_label_changes(str(tmp_path), "text", scorer, scorer)
    with pytest.raises(MissingColumnError, match="Column 'body' is not in"):
        find_label_changes(str(tmp_path), "body", scorer, scorer)


def test_some_text_in_a_batch_is_enough(tmp_path: Path) -> None:
    empty = pa.table({"text": pa.array([], pa.string())})
    pq.write_table(empty, tmp_path / "a.parquet")
    with pytest.raises(NoInputError, match=r"must contain text.*`batch`"):
        check_batch(str(tmp_path), "text")
    pq.write_table(pa.table({"text": [None] * 2000 + ["A film."]}), tmp_path / "b.parquet")
    check_batch(str(tmp_path), "text")
