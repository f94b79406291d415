from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.config import PRODUCTION, TeachersConfig
from imdb_classifier.errors import (
    CannotWriteError,
    ConfigurationError,
    NoInputError,
    UnavailableError,
)
from imdb_classifier.model.bundle import NGRAMS_FILE, Bundle
from imdb_classifier.model.trained import Epoch
from imdb_classifier.pipeline.evaluate import evaluate_bundle
from imdb_classifier.pipeline.promote import register_bundle
from imdb_classifier.pipeline.train import (
    plan_training,
    reviews_line,
    train_bundle,
)
from imdb_classifier.registry.training_runs import training_run
from imdb_classifier.registry.versions import Registry
from imdb_classifier.reviews.dataset import Reviews
from imdb_classifier.samples import FOLDER
from imdb_classifier.training.loop import TrainingObserver


class KilledAfterOneEpoch(TrainingObserver):
    def finished(self, epoch: Epoch, epochs: int) -> None:
        raise KeyboardInterrupt


def test_a_killed_run_goes_on_and_a_finished_one_is_not_repeated(
    tiny_bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_bundle(str(FOLDER), "tiny", 7, tmp_path, observer=KilledAfterOneEpoch())
    (folder,) = tmp_path.iterdir()
    assert [path.name for path in folder.iterdir()] == ["checkpoints"]
    with caplog.at_level(logging.INFO, "imdb_classifier"):
        resumed = train_bundle(str(FOLDER), "tiny", 7, tmp_path)
    assert "resuming after epoch 1" in caplog.text
    assert resumed.model_hash == tiny_bundle.model_hash
    assert list(folder.iterdir()) == [resumed.path]
    caplog.clear()
    again = train_bundle(str(FOLDER), "tiny", 7, tmp_path)
    assert again.path == resumed.path
    assert "epoch" not in caplog.text


def test_extra_reviews_are_trained_on_and_overlap_is_counted(tmp_path: Path) -> None:
    registry = Registry.at(tmp_path)
    before = plan_training(str(FOLDER), "tiny", 7, registry).summary
    test = pq.read_table(FOLDER / "test-00000-of-00001.parquet").slice(0, 3)
    own = pa.table({"text": ["Mine, and good.", None, "  "], "label": [1, 1, 0]})
    extra = [str(tmp_path / "from-test.parquet"), str(tmp_path / "own.parquet")]
    pq.write_table(test, extra[0])
    pq.write_table(own, extra[1])
    plan = plan_training(str(FOLDER), "tiny", 7, registry, extra_train=extra)
    assert plan.trained is None
    summary = plan.summary
    assert summary["rows"] == 178 + 3 + 1
    assert summary["overlap_with_test"] == 3
    assert summary["fingerprint"] != before["fingerprint"]
    assert reviews_line(summary) == (
        "182 training reviews (parquet); left out: 1 null, 1 blank; also in the test split: 3"
    )


def test_files_of_ones_own_are_checked_before_the_data_set_is_loaded(tmp_path: Path) -> None:
    registry, mine = Registry.at(tmp_path / "registry"), str(tmp_path / "mine.parquet")
    with pytest.raises(NoInputError, match=r"There is no .*mine\.parquet"):
        plan_training(str(tmp_path / "imdb"), "tiny", 1, registry, extra_train=[mine])


def test_the_same_reviews_cannot_be_both_splits(tmp_path: Path) -> None:
    own = shutil.copy(FOLDER / "train-00000-of-00001.parquet", tmp_path / "reviews.parquet")
    with pytest.raises(
        ConfigurationError, match=r"must be different reviews.*the same 178 reviews.*`data`"
    ):
        plan_training(own, "tiny", 7, Registry.at(tmp_path))


def test_without_a_test_split_a_model_is_trained_but_not_planned(tmp_path: Path) -> None:
    shutil.copy(FOLDER / "train-00000-of-00001.parquet", tmp_path)
    with pytest.raises(NoInputError, match="test"):
        plan_training(str(tmp_path), "tiny", 7, Registry.at(tmp_path / "registry"))
    bundle = train_bundle(str(tmp_path), "tiny", 7, tmp_path / "work")
    assert bundle.manifest["data"]["overlap_with_test"] is None
    assert reviews_line(bundle.manifest["data"]).endswith("also in the test split: unknown")


def test_there_is_nothing_to_learn_twice(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry.at(tmp_path / "registry")
    register_bundle(tiny_bundle, evaluate_bundle(tiny_bundle, str(FOLDER))[0], registry)

    def known(recipe: str = "tiny", seed: int = 7, **options: Any) -> str | None:
        return plan_training(str(FOLDER), recipe, seed, registry, **options).trained

    assert known() == tiny_bundle.model_id
    assert known(seed=8) is None
    assert known(recipe="seed") is None
    own = tmp_path / "own.parquet"
    pq.write_table(pa.table({"text": ["Mine, and good."], "label": [1]}), own)
    assert known(extra_train=[str(own)]) is None

    def refuses(location: str) -> None:
        raise OSError(5, "Slow Down")

    monkeypatch.setattr("imdb_classifier.registry.versions.manifest_of", refuses)
    with pytest.raises(UnavailableError, match=r"versions/tiny-.* failed: Slow Down\."):
        known()


def test_recipes_with_teachers_take_the_unsupervised_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(
        PRODUCTION,
        encoding=replace(PRODUCTION.encoding, num_words=500, sequence_length=50),
        network=replace(PRODUCTION.network, embedding_dim=4, lstm_units=4, ngrams=100),
        training=replace(PRODUCTION.training, epochs=1, batch_size=32),
        teachers=TeachersConfig(2, vector_size=4, vector_passes=1, vector_weight=0.5),
    )
    monkeypatch.setattr("imdb_classifier.pipeline.train.chosen_recipe", lambda _: small)
    for split in ("train", "test"):
        shutil.copy(FOLDER / f"{split}-00000-of-00001.parquet", tmp_path)
    with pytest.raises(NoInputError, match="unsupervised"):
        train_bundle(str(tmp_path), "production", 1, tmp_path / "work")
    unlabeled = pq.read_table(FOLDER / "test-00000-of-00001.parquet").select(["text"])
    hidden = unlabeled.append_column("label", pa.array([-1] * len(unlabeled)))
    pq.write_table(hidden, tmp_path / "unsupervised-0.parquet")
    bundle = train_bundle(str(tmp_path), "production", 1, tmp_path / "work")
    assert bundle.recipe == small
    assert (bundle.path / NGRAMS_FILE).exists()
    assert bundle.manifest["data"]["unlabelled"]["rows"] == 86
    assert bundle.manifest["data"]["unlabelled"]["overlap_with_test"] == 86
    assert len(bundle.learned) == 178 + 86
    evaluation, _ = evaluate_bundle(bundle, str(tmp_path))
    registered = register_bundle(bundle, evaluation, Registry.at(tmp_path / "registry"))
    card = registered.path / "README.md"
    text = card.read_text("utf-8")
    assert "100 n-grams of one to three words" in text
    # It was trained on all texts of the sample, labeled or not.
    assert "| sample: " not in text
    assert "--recipe production --seed 1" in text


def test_another_process_trains_the_same_model(tiny_bundle: Bundle, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from imdb_classifier.pipeline.train import train_bundle\n"
        "print(train_bundle(sys.argv[1], 'tiny', 7, Path(sys.argv[2])).model_hash)\n"
    )
    command = [sys.executable, "-c", program, str(FOLDER), str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [tiny_bundle.model_hash]


def test_a_run_is_alone_until_its_model_is_registered(tmp_path: Path) -> None:
    made = tmp_path / "run" / "bundle" / "model.onnx"

    def killed() -> None:
        with training_run(tmp_path, "run"):
            made.parent.mkdir()
            made.touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    assert made.exists()
    with training_run(tmp_path, "run"):
        second = training_run(tmp_path, "run")
        with pytest.raises(CannotWriteError, match=r"Another run is training run\. Wait"):
            second.__enter__()
        with training_run(tmp_path, "another"):
            pass
        assert made.exists()
    assert not [*tmp_path.glob("*")]


def test_a_damaged_result_is_trained_again(
    tiny_bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan = plan_training(str(FOLDER), "tiny", 7, Registry.at(tmp_path))
    made = shutil.copytree(tiny_bundle.path, tmp_path / plan.run / "bundle")
    (made / "model.onnx").write_bytes(b"")
    bundle = train_bundle(str(FOLDER), "tiny", 7, tmp_path)
    assert bundle.path == made
    assert bundle.model_hash == tiny_bundle.model_hash
    assert "has to be trained again" in caplog.text


def test_a_damaged_version_is_trained_again(tiny_bundle: Bundle, tmp_path: Path) -> None:
    registry = Registry.at(tmp_path / "registry")
    evaluation, _ = evaluate_bundle(tiny_bundle, str(FOLDER))
    registered = register_bundle(tiny_bundle, evaluation, registry)
    (registered.path / "model.onnx").write_bytes(b"")
    assert plan_training(str(FOLDER), "tiny", 7, registry).trained is None
    assert register_bundle(tiny_bundle, evaluation, registry).model_hash == tiny_bundle.model_hash
    assert plan_training(str(FOLDER), "tiny", 7, registry).trained == tiny_bundle.model_id


def test_the_bundled_model_counts_as_trained(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundled = "imdb_classifier.registry.versions.bundled_path"
    monkeypatch.setattr(bundled, lambda: tiny_bundle.path)
    registry = Registry.at(tmp_path / "registry")
    assert plan_training(str(FOLDER), "tiny", 7, registry).trained == tiny_bundle.model_id
    assert plan_training(str(FOLDER), "tiny", 8, registry).trained is None


def test_a_recipe_with_teachers_is_refused_without_text_before_it_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.table({"ids": [[1, 4], [1, 5]], "label": pa.array([0, 1], pa.int8())})

    def keras(data: object, split: str, **_: object) -> Reviews:
        return Reviews("keras", split, table, ("the", "a"), {}, split)

    monkeypatch.setattr("imdb_classifier.pipeline.train.load_reviews", keras)
    with pytest.raises(ConfigurationError, match=r"'production' needs .* keras reviews have no"):
        plan_training("keras", "production", 1, Registry.at(tmp_path))
    assert plan_training("keras", "seed", 1, Registry.at(tmp_path)).trained is None
