"""The published reviews themselves: IMDB_CLASSIFIER_DATA must name them."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from imdb_classifier.model.bundle import load_bundle
from imdb_classifier.registry.versions import bundled_path
from imdb_classifier.reviews.dataset import REVIEWS, Reviews
from imdb_classifier.reviews.load import Split, load_reviews
from imdb_classifier.reviews.overlap import fingerprints_of, known_rows
from imdb_classifier.reviews.sources import IMDB_TEST_FINGERPRINT

# Rows in the order of the Stanford archive: by label and then by review number. A copy with the
# same reviews in another order has other fingerprints.
FINGERPRINTS: dict[Split, str] = {
    "train": "6d60bf65db198c3f45f53d153f374d029a110ce1a4651df8af02d7bbf53d3ddc",
    "test": "5214014620cb565a481a3e544d7e2bd630bc41952e192e8e7aed9e0cb3e145aa",
    "unsupervised": "caf9514ff5c2d749d09fce7dc6be9a529a3b09ab4af2a42961bccc18c0db9747",
}


@pytest.fixture(scope="module")
def train() -> Reviews:
    return load_reviews(None, "train")


@pytest.fixture(scope="module")
def test() -> Reviews:
    return load_reviews(None, "test")


@pytest.fixture(scope="module")
def unsupervised() -> Reviews:
    return load_reviews(None, "unsupervised")


def test_labeled_splits_are_balanced(train: Reviews, test: Reviews) -> None:
    for reviews in (train, test):
        assert len(reviews) == 25_000
        assert np.bincount(reviews.labels).tolist() == [12_500, 12_500]


def test_unsupervised_split_has_no_labels(unsupervised: Reviews) -> None:
    assert len(unsupervised) == 50_000
    assert set(unsupervised.labels.tolist()) == {-1}


def test_every_row_is_used(train: Reviews, test: Reviews, unsupervised: Reviews) -> None:
    for reviews in (train, test, unsupervised):
        assert reviews.table.schema == REVIEWS
        assert reviews.left_out == {"null": 0, "blank": 0, "unlabeled": 0}


def test_fingerprints(train: Reviews, test: Reviews, unsupervised: Reviews) -> None:
    assert train.fingerprint == FINGERPRINTS["train"]
    assert test.fingerprint == FINGERPRINTS["test"] == IMDB_TEST_FINGERPRINT
    assert unsupervised.fingerprint == FINGERPRINTS["unsupervised"]


def test_overlap(train: Reviews, test: Reviews, unsupervised: Reviews) -> None:
    counts = [
        int(known_rows(test.table, fingerprints_of(tables)).sum())
        for tables in ([train.table], [unsupervised.table], [test.table])
    ]
    assert counts == [123, 269, 25_000]


def test_the_bundled_model_knows_what_it_was_trained_on(
    train: Reviews, unsupervised: Reviews
) -> None:
    learned = fingerprints_of([train.table, unsupervised.table])
    assert load_bundle(bundled_path()).learned.tolist() == learned.tolist()


def test_archive_and_folder_equal_the_parquet(
    train: Reviews, tmp_path: Path, publish: Callable[[Path, str], None]
) -> None:
    picked = train.table.take(pa.array(np.arange(0, 25_000, 50)))
    pq.write_table(picked, tmp_path / "picked.parquet", row_group_size=64)
    folder = tmp_path / "aclImdb"
    for name in ("neg", "pos"):
        (folder / "train" / name).mkdir(parents=True)
    for number, row in enumerate(picked.to_pylist()):
        name = f"train/{('neg', 'pos')[row['label']]}/{number}_{number % 10}.txt"
        (folder / name).write_bytes(row["text"].encode())
    with tarfile.open(tmp_path / "picked.tar.gz", "w:gz") as archive:
        archive.add(folder, "aclImdb")
    publish(tmp_path / "picked.tar.gz", "ACLIMDB")

    sources = [tmp_path / "picked.parquet", tmp_path / "picked.tar.gz", folder, tmp_path]
    loaded = [load_reviews(str(source), "train") for source in sources]

    assert [reviews.source for reviews in loaded] == ["parquet", "aclimdb", "aclimdb", "aclimdb"]
    assert pc.sum(picked.column("label")).as_py() == 250
    assert {len(reviews) for reviews in loaded} == {500}
    assert len({reviews.fingerprint for reviews in loaded}) == 1
