from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from imdb_classifier.errors import (
    BadDataError,
    ConfigurationError,
    MissingColumnError,
    NoInputError,
)
from imdb_classifier.evaluation.promotion import LEAST_OWN_ROWS, Gates
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.pipeline.evaluate import evaluate_bundle
from imdb_classifier.pipeline.own_sets import load_own_sets
from imdb_classifier.pipeline.promote import check_promotion
from imdb_classifier.pipeline.train import plan_training
from imdb_classifier.registry.access import CHAMPION
from imdb_classifier.registry.versions import Registry
from imdb_classifier.reviews.load import Split, load_reviews
from imdb_classifier.samples import FOLDER


def test_a_model_is_evaluated_beside_the_champion(
    tiny_bundle: Bundle, shop: Path, tmp_path: Path
) -> None:
    own_sets, registry = load_own_sets({"shop": shop}), Registry.at(tmp_path)
    evaluation, _ = evaluate_bundle(tiny_bundle, str(FOLDER), own_sets=own_sets, registry=registry)
    (own,) = evaluation.own_sets
    champion = registry.load(CHAMPION)
    alone, _ = evaluate_bundle(champion, str(FOLDER), own_sets=own_sets, registry=registry)
    (best,) = alone.own_sets
    assert (best.champion, best.champion_accuracy, best.difference) == (None, None, None)
    assert (own.name, own.rows, own.unseen, own.learned) == ("shop", 120, 120, 0)
    assert own.champion == champion.model_id
    assert own.champion_accuracy == best.accuracy.value
    assert own.difference is not None
    assert own.difference.value == pytest.approx(own.accuracy.value - best.accuracy.value)
    assert own.difference.low < own.difference.value < own.difference.high
    assert own.log_loss.low < own.log_loss.value < own.log_loss.high
    assert own.fingerprint == own_sets["shop"].fingerprint


@pytest.mark.parametrize("name", ["", "a b", "a.b", "ä", "-a"])
def test_a_name_is_a_word(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"letters, digits, _ and -\..*in `gate_on`"):
        load_own_sets({name: "nowhere"})


def test_what_cannot_be_evaluated_on_is_refused(shop: Path, tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match=r"nowhere.*`gate_on`"):
        load_own_sets({"shop": tmp_path / "nowhere"})
    table, file = pq.read_table(shop), tmp_path / "own.parquet"
    pq.write_table(table.select(["text"]), file)
    with pytest.raises(MissingColumnError, match="'label' is not in"):
        load_own_sets({"shop": file})
    for rows, found in (
        (table.slice(0, LEAST_OWN_ROWS - 1), r"has \d\d negative and \d\d positive"),
        (table.filter(pc.equal(table["label"], 1)), "has 0 negative and 60 positive"),
    ):
        pq.write_table(rows, file)
        with pytest.raises(BadDataError, match=rf"at least 100 .* both labels.*{found}.*`gate_on`"):
            load_own_sets({"shop": file})
    pq.write_table(table.slice(0, LEAST_OWN_ROWS), file)
    assert len(load_own_sets({"shop": file})["shop"]) == LEAST_OWN_ROWS


def test_a_folder_of_ones_own_has_splits_or_none(shop: Path, tmp_path: Path) -> None:
    table = pq.read_table(shop)
    pq.write_table(table, tmp_path / "test-0.parquet")
    pq.write_table(table.slice(0, 10), tmp_path / "train-0.parquet")
    assert len(load_own_sets({"shop": tmp_path})["shop"]) == 120
    (tmp_path / "test-0.parquet").rename(tmp_path / "b.parquet")
    assert len(load_own_sets({"shop": tmp_path})["shop"]) == 130


def test_stars_are_labels_wherever_files_of_ones_own_are_read(
    shop: Path, stars: Path, tmp_path: Path
) -> None:
    registry = Registry.at(tmp_path / "registry")
    label_map = {"1": "negative", "5": "positive"}
    for read in (
        lambda meaning: check_promotion(
            registry, FOLDER, None, "text", gate_on={"shop": stars}, label_map=meaning
        ),
        lambda meaning: plan_training(
            FOLDER, "tiny", 1, registry, extra_train=[stars], label_map=meaning
        ),
    ):
        with pytest.raises(BadDataError, match=r"say with `label_map`"):
            read(None)
        read(label_map)
    _, own_sets = check_promotion(
        registry, FOLDER, None, "text", gate_on={"shop": stars}, label_map=label_map
    )
    assert own_sets["shop"].table.equals(load_own_sets({"shop": shop})["shop"].table)
    mapped = plan_training(FOLDER, "tiny", 1, registry, extra_train=[stars], label_map=label_map)
    assert mapped.run == plan_training(FOLDER, "tiny", 1, registry, extra_train=[shop]).run


def test_reviews_for_training_or_of_the_test_split_are_no_set_of_ones_own(
    tiny_bundle: Bundle, shop: Path, tmp_path: Path
) -> None:
    registry, own_sets = Registry.at(tmp_path / "registry"), load_own_sets({"shop": shop})
    own = own_sets["shop"].table
    splits: dict[Split, pa.Table] = {"train": own.slice(0, 4), "test": own.slice(4, 4)}
    for split, rows in splits.items():
        sample = load_reviews(str(FOLDER), split).table
        pq.write_table(pa.concat_tables([sample, rows]), tmp_path / f"{split}-0.parquet")
    refusal = (
        r"other reviews than those for training.*3\.00%.*120 reviews of 'shop', {} are also in"
    )
    with pytest.raises(ConfigurationError, match=refusal.format(4) + " the test split"):
        evaluate_bundle(tiny_bundle, tmp_path, own_sets=own_sets)
    with pytest.raises(ConfigurationError, match=refusal.format(4) + " the test split"):
        check_promotion(registry, tmp_path, None, "text", gate_on={"shop": shop})
    with pytest.raises(ConfigurationError, match=refusal.format(4) + " the test split"):
        plan_training(tmp_path, "tiny", 1, registry, own_sets=own_sets)
    # As many as that may be the same.
    sample = load_reviews(str(FOLDER), "test").table
    pq.write_table(pa.concat_tables([sample, own.slice(4, 3)]), tmp_path / "test-0.parquet")
    with pytest.raises(ConfigurationError, match=refusal.format(4) + " the train split"):
        plan_training(tmp_path, "tiny", 1, registry, own_sets=own_sets)
    gates = Gates.of({"shop.learned": 0.04}, own_sets)
    plan_training(tmp_path, "tiny", 1, registry, own_sets=own_sets, gates=gates)
    with pytest.raises(ConfigurationError, match="'shop', 120 are also in the train"):
        plan_training(
            tmp_path, "tiny", 1, registry, extra_train=[shop], own_sets=own_sets, gates=gates
        )
