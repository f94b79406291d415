from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.errors import (
    BadDataError,
    ChecksumError,
    ConfigurationError,
    NoInputError,
    UnreadableFileError,
)
from imdb_classifier.reviews import sources
from imdb_classifier.reviews.dataset import ENCODED_REVIEWS, REVIEWS, Reviews, fingerprint_of
from imdb_classifier.reviews.load import add_reviews, load_own_set, load_reviews
from imdb_classifier.reviews.sources import DATA_VARIABLE, NoReviewsError

pytestmark = pytest.mark.usefixtures("empty_caches")

Publish = Callable[[Path, str], None]
Unpack = Callable[[tarfile.TarFile, Path], None]
TEXTS, LABELS = ["awful caf\u00e9", "dull", "fine", "great"], [0, 0, 1, 1]
TRAIN = {"text": TEXTS, "label": LABELS}
TEST = {"text": ["dull", "new"], "label": [0, 1]}
# Of the rows of TRAIN, see test_dataset.py.
FINGERPRINT = "b858bb8e53c05e26341a249f7f65499aa89232c20440960f8cd29e1ecf6f378c"
NOTHING = {"null": 0, "blank": 0, "unlabeled": 0}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "reviews"
    folder.mkdir()
    pq.write_table(pa.table(TRAIN), folder / "train-00000-of-00001.parquet")
    pq.write_table(pa.table(TEST), folder / "test-00000-of-00001.parquet")
    return folder


def write_archive(path: Path) -> Path:
    names = ["train/neg/3_1", "train/neg/20_2", "train/pos/3_8", "train/pos/20_9"]
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, text in zip(names, TEXTS, strict=True):
            data = text.encode()
            member = tarfile.TarInfo(f"aclImdb/{name}.txt")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def test_parquet_folder(folder: Path) -> None:
    train = load_reviews(str(folder), "train")
    assert (train.source, train.split, train.words) == ("parquet", "train", None)
    assert train.table.schema == REVIEWS
    assert train.table.to_pydict() == TRAIN
    assert train.labels.dtype == np.int8
    assert train.labels.tolist() == [0, 0, 1, 1]
    assert len(train) == 4
    assert train.left_out == NOTHING
    assert train.fingerprint == FINGERPRINT
    assert load_reviews(str(folder), "test").table.to_pydict() == TEST


def test_uri_and_single_file(folder: Path) -> None:
    file = folder / "train-00000-of-00001.parquet"
    for data in (folder.as_uri(), file.as_uri(), str(file)):
        assert load_reviews(data, "train").fingerprint == FINGERPRINT


def test_parquet_is_told_by_its_content(folder: Path) -> None:
    file = (folder / "train-00000-of-00001.parquet").rename(folder / "mine")
    assert load_reviews(str(file), "train").source == "parquet"


def test_archive_and_folder_have_the_fingerprint_of_parquet(
    tmp_path: Path, unpack: Unpack, publish: Publish
) -> None:
    archive = write_archive(tmp_path / "own.tgz")
    publish(archive, "ACLIMDB")
    with tarfile.open(archive) as packed:
        unpack(packed, tmp_path / "unpacked")
    for data in (archive, tmp_path / "unpacked", tmp_path / "unpacked" / "aclImdb"):
        train = load_reviews(str(data), "train")
        assert train.source == "aclimdb"
        assert train.table.to_pydict() == TRAIN
        assert train.fingerprint == FINGERPRINT


def test_home_is_expanded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    assert len(load_reviews("~/reviews", "train")) == 4


def test_fingerprint_does_not_depend_on_layout(tmp_path: Path) -> None:
    table = pa.table(TRAIN)
    pq.write_table(table, tmp_path / "small-groups.parquet", row_group_size=1)
    pq.write_table(table.slice(0, 1), tmp_path / "train-0.parquet")
    pq.write_table(table.slice(1), tmp_path / "train-1.parquet")
    large = pa.array([None, *TEXTS, " "], pa.large_string())
    pq.write_table(pa.table([large, [1, *LABELS, 1]], ["text", "label"]), tmp_path / "l.parquet")
    for data in (tmp_path / "small-groups.parquet", tmp_path, tmp_path / "l.parquet"):
        assert load_reviews(str(data), "train").fingerprint == FINGERPRINT


def test_variable_names_the_reviews_and_the_argument_beats_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DATA_VARIABLE, str(folder))
    assert load_reviews(None, "train").fingerprint == FINGERPRINT
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table(TEST), other)
    assert load_reviews(str(other), "train").table.to_pydict() == TEST


def test_cached_archive_is_the_last_resort(tmp_path: Path, publish: Publish) -> None:
    archive = write_archive(tmp_path / "cache" / "imdb-classifier" / "aclImdb_v1.tar.gz")
    with pytest.raises(ChecksumError, match=r"aclImdb_v1\.tar\.gz must have the published"):
        load_reviews(None, "train")
    publish(archive, "ACLIMDB")
    for data in (None, "aclimdb"):
        for allowed in (False, True):
            train = load_reviews(data, "train", download=allowed)
            assert (train.source, train.fingerprint) == ("aclimdb", FINGERPRINT)


@pytest.mark.parametrize("data", [None, "aclimdb", "keras"])
def test_nothing_is_downloaded_unasked(data: str | None, tmp_path: Path) -> None:
    with pytest.raises(
        match=r"There is no (aclImdb_v1\.tar\.gz|imdb\.npz and no imdb_word_index\.json) in .*"
        r"nothing is downloaded automatically\. Do one of the following: ",
    ):
        load_reviews(data, "train")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("data", "name"), [("aclimdb", "ACLIMDB"), ("keras", "KERAS_IDS")])
def test_download_without_network(data: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = replace(getattr(sources, name), url="http://127.0.0.1:1/")
    monkeypatch.setattr(sources, name, file)
    with pytest.raises(NoReviewsError, match=r"127\.0\.0\.1:1/ must be reachable.*Do one of"):
        load_reviews(data, "train", download=True)


def test_bad_locations(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match=r"There is no .*/absent\. Check `data`"):
        load_reviews(str(tmp_path / "absent"), "train")
    with pytest.raises(NoInputError, match=r"train-\*\.parquet or be the unpacked aclImdb"):
        load_reviews(str(tmp_path), "train")
    (tmp_path / "notes.txt").write_text("a few words")
    with pytest.raises(BadDataError, match=r"the published .*notes\.txt is neither"):
        load_reviews(str(tmp_path / "notes.txt"), "train")
    (tmp_path / "empty.parquet").touch()
    with pytest.raises(UnreadableFileError, match=r"empty\.parquet must be a readable Parquet"):
        load_reviews(str(tmp_path / "empty.parquet"), "train")


def test_unknown_split_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"train, test or unsupervised\. It is 'dev'"):
        load_reviews(str(folder), "dev")  # type: ignore[arg-type]
    with pytest.raises(NoInputError, match=r"only the splits train and test\. The unsupervised"):
        load_reviews("keras", "unsupervised")


def test_split_without_a_usable_row_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": [None, "a"], "label": [1, None]}), tmp_path / "a.parquet")
    with pytest.raises(NoInputError, match=r"at least one review.*: 1 null, 0 blank, 1 unlabeled"):
        load_reviews(str(tmp_path / "a.parquet"), "train")


def test_add_reviews(folder: Path, tmp_path: Path) -> None:
    extra = tmp_path / "extra"
    extra.mkdir()
    text = ["mine", None, "  ", "unsure", "yours"]
    pq.write_table(pa.table({"label": [1, 1, 0, None, 0], "text": text}), extra / "a.parquet")
    train = load_reviews(str(folder), "train")

    paths = [str(extra), (extra / "a.parquet").as_uri()]
    more = add_reviews(train, [load_own_set(path, split="train") for path in paths])

    assert more.table.to_pydict() == {
        "text": [*TEXTS, "mine", "yours", "mine", "yours"],
        "label": [*LABELS, 1, 0, 1, 0],
    }
    assert more.left_out == {"null": 2, "blank": 2, "unlabeled": 2}
    assert more.fingerprint == fingerprint_of(more.table.combine_chunks())
    assert more.fingerprint != train.fingerprint
    assert (train.left_out, len(train)) == (NOTHING, 4)
    with pytest.raises(NoInputError, match=r"There is no .*absent\. Check `data`, `extra_train`"):
        load_own_set(str(tmp_path / "absent"))


def test_add_reviews_refuses_token_ids(folder: Path) -> None:
    table = pa.table([[[1, 4]], [1]], schema=ENCODED_REVIEWS)
    train = Reviews("keras", "train", table, ("the",), NOTHING, "")
    with pytest.raises(ConfigurationError, match=r"keras source has only token ids"):
        add_reviews(train, [load_own_set(str(folder), split="train")])


def test_import_is_light() -> None:
    heavy = "{'keras', 'tensorflow', 'prefect', 'pandas', 'sklearn', 'matplotlib'}"
    script = f"import sys, imdb_classifier.reviews.load; print(sorted({heavy} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
    assert shown == b"[]\n"
