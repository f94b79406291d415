from __future__ import annotations

import hashlib
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
    NoReviewsError,
    UnreadableFileError,
)
from imdb_classifier.reviews import download, load
from imdb_classifier.reviews.load import (
    DATA_VARIABLE,
    Reviews,
    SourceStatus,
    add_reviews,
    count_overlap,
    describe_sources,
    load_reviews,
)
from imdb_classifier.schema import ENCODED_REVIEWS, REVIEWS

pytestmark = pytest.mark.usefixtures("empty_caches")

Publish = Callable[[Path, str], None]
Unpack = Callable[[tarfile.TarFile, Path], None]
TEXTS, LABELS = ["awful caf\u00e9", "dull", "fine", "great"], [0, 0, 1, 1]
TRAIN = {"text": TEXTS, "label": LABELS}
TEST = {"text": ["dull", "new"], "label": [0, 1]}
# Row count, lengths in bytes, texts, labels; written out by hand from TRAIN.
CANONICAL = (
    b"text 4\n"
    + bytes([11, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0])
    + bytes([4, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0])
    + b"awful caf\xc3\xa9dullfinegreat"
    + bytes([0, 0, 1, 1])
)
FINGERPRINT = hashlib.sha256(CANONICAL).hexdigest()
NOTHING = {"null": 0, "blank": 0, "unlabelled": 0}


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


def reviews(text: list[str], label: list[int]) -> Reviews:
    return Reviews("parquet", "train", pa.table([text, label], schema=REVIEWS), None, NOTHING, "")


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


def test_archive_and_folder_have_the_fingerprint_of_parquet(tmp_path: Path, unpack: Unpack) -> None:
    archive = write_archive(tmp_path / "own.tgz")
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
    sliced = pa.table([["x", *TEXTS], [0, *LABELS]], schema=REVIEWS).slice(1)
    assert load._fingerprint(sliced) == FINGERPRINT
    # Arrow allows an array without values to have no offsets.
    empty = pa.StringArray.from_buffers(0, pa.py_buffer(b""), pa.py_buffer(b""))
    chunked = pa.table([pa.chunked_array([empty, TEXTS]), LABELS], schema=REVIEWS)
    assert load._fingerprint(chunked) == FINGERPRINT
    assert load._fingerprint(sliced.slice(0, 0)) == hashlib.sha256(b"text 0\n").hexdigest()


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (["awful caf\u00e9", "dull", "great", "fine"], [0, 0, 1, 1]),
        (["awful caf\u00e9", "dull", "fine", "great"], [0, 1, 1, 1]),
        (["awful caf\u00e9d", "ull", "fine", "great"], [0, 0, 1, 1]),
    ],
    ids=["order", "label", "border"],
)
def test_fingerprint_depends_on_rows(text: list[str], label: list[int]) -> None:
    assert load._fingerprint(reviews(text, label).table) != FINGERPRINT


def test_variable_names_the_reviews_and_the_argument_beats_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DATA_VARIABLE, str(folder))
    assert load_reviews(None, "train").source == "parquet"
    assert load_reviews(str(write_archive(tmp_path / "a.tar.gz")), "train").source == "aclimdb"


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
        NoReviewsError,
        match=r"There is no (aclImdb_v1\.tar\.gz|imdb\.npz and no imdb_word_index\.json) in .*"
        r"nothing is downloaded unasked\. Three ways out: ",
    ):
        load_reviews(data, "train")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("data", "name"), [("aclimdb", "ACLIMDB"), ("keras", "KERAS_IDS")])
def test_download_without_network(data: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = replace(getattr(download, name), url="http://127.0.0.1:1/")
    monkeypatch.setattr(download, name, file)
    with pytest.raises(NoReviewsError, match=r"127\.0\.0\.1:1/ must be reachable.*Three ways out"):
        load_reviews(data, "train", download=True)


def test_bad_locations(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match=r"There is no .*/absent\. Check --data"):
        load_reviews(str(tmp_path / "absent"), "train")
    with pytest.raises(NoInputError, match=r"train-\*\.parquet or be the unpacked aclImdb"):
        load_reviews(str(tmp_path), "train")
    (tmp_path / "notes.txt").write_text("a few words")
    with pytest.raises(BadDataError, match=r"notes\.txt must be Parquet, or a whole tar\.gz"):
        load_reviews(str(tmp_path / "notes.txt"), "train")
    (tmp_path / "empty.parquet").touch()
    with pytest.raises(UnreadableFileError, match=r"empty\.parquet must be a readable Parquet"):
        load_reviews(str(tmp_path / "empty.parquet"), "train")


def test_credentials_of_a_uri_are_not_repeated() -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere://host/reviews cannot be op") as info:
        load_reviews("nowhere://key:secret@host/reviews", "train")
    assert "secret" not in str(info.value)
    assert info.value.__suppress_context__


def test_unknown_split_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"train, test or unsupervised\. It is 'dev'"):
        load_reviews(str(folder), "dev")  # type: ignore[arg-type]
    with pytest.raises(NoInputError, match=r"has the splits train and test\. The unsupervised"):
        load_reviews("keras", "unsupervised")


def test_split_without_a_usable_row_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": [None, "a"], "label": [1, -1]}), tmp_path / "a.parquet")
    with pytest.raises(NoInputError, match=r"at least one review.*'null': 1, .*'unlabelled': 1"):
        load_reviews(str(tmp_path / "a.parquet"), "train")


def test_review_text_is_not_in_the_repr(folder: Path) -> None:
    shown = repr(load_reviews(str(folder), "train"))
    assert "source='parquet'" in shown
    assert "awful" not in shown


def test_add_reviews(folder: Path, tmp_path: Path) -> None:
    extra = tmp_path / "extra"
    extra.mkdir()
    text = ["mine", None, "  ", "unsure", "yours"]
    pq.write_table(pa.table({"label": [1, 1, 0, None, 0], "text": text}), extra / "a.parquet")
    train = load_reviews(str(folder), "train")

    more = add_reviews(train, [str(extra), (extra / "a.parquet").as_uri()])

    assert more.table.to_pydict() == {
        "text": [*TEXTS, "mine", "yours", "mine", "yours"],
        "label": [*LABELS, 1, 0, 1, 0],
    }
    assert more.left_out == {"null": 2, "blank": 2, "unlabelled": 2}
    assert more.fingerprint == load._fingerprint(more.table.combine_chunks())
    assert more.fingerprint != train.fingerprint
    assert (train.left_out, len(train)) == (NOTHING, 4)
    with pytest.raises(NoInputError, match=r"There is no .*absent\. Check --data, --extra-train"):
        add_reviews(train, [str(tmp_path / "absent")])


def encoded(ids: list[list[int]], label: list[int]) -> Reviews:
    table = pa.table([ids, label], schema=ENCODED_REVIEWS)
    return Reviews("keras", "train", table, ("the",), NOTHING, "")


def test_add_reviews_refuses_token_ids(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"keras source has token ids and no text"):
        add_reviews(encoded([[1, 4]], [1]), [str(folder)])


def test_count_overlap_of_texts() -> None:
    train = reviews(["a", "b", "b", "A"], [0, 1, 0, 1])
    assert count_overlap(train, reviews(["b", "b", "c", "a ", "A"], [0, 1, 1, 0, 0])) == 3
    assert count_overlap(train, reviews(["c"], [0])) == 0
    assert count_overlap(train, reviews([], [])) == 0


def test_count_overlap_of_token_ids() -> None:
    train = encoded([[1], [1, 4, 5], [1, 4]], [0, 1, 0])
    test = encoded([[1, 4], [4, 1], [1, 4, 5, 6], [1], [1]], [0, 1, 1, 0, 0])
    assert count_overlap(train, test) == 3
    assert count_overlap(train, replace(test, table=test.table.slice(1))) == 2
    with pytest.raises(ConfigurationError, match="One side has text, the other token ids"):
        count_overlap(train, reviews(["a"], [0]))


def test_token_ids_of_equal_length_become_lists() -> None:
    sequences = np.array([[1, 4], [1, 5]], dtype=object)
    table = load._encoded(sequences, np.array([1, 0]))
    assert table.schema == ENCODED_REVIEWS
    assert table.to_pydict() == {"token_ids": [[1, 4], [1, 5]], "label": [1, 0]}


def test_describe_sources(
    folder: Path, tmp_path: Path, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache" / "imdb-classifier"
    keras = tmp_path / "keras" / "datasets"
    archive = write_archive(cache / "aclImdb_v1.tar.gz")
    assert describe_sources() == [
        SourceStatus("keras", str(keras), "missing", None),
        SourceStatus("aclimdb", str(cache), "damaged", None),
    ]
    publish(archive, "ACLIMDB")
    monkeypatch.setenv(DATA_VARIABLE, str(folder))
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert describe_sources() == [
        SourceStatus(DATA_VARIABLE, str(folder), "configured", size),
        SourceStatus("keras", str(keras), "missing", None),
        SourceStatus("aclimdb", str(cache), "cached", archive.stat().st_size),
    ]
    monkeypatch.setenv(DATA_VARIABLE, "s3://key:secret@bucket/reviews")
    status = describe_sources()[0]
    assert status == SourceStatus(DATA_VARIABLE, "s3://bucket/reviews", "configured", None)


def test_import_is_light() -> None:
    heavy = "{'keras', 'tensorflow', 'prefect', 'pandas', 'sklearn', 'matplotlib'}"
    script = f"import sys, imdb_classifier.reviews.load; print(sorted({heavy} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
    assert shown == b"[]\n"
