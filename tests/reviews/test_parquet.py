from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from imdb_classifier.errors import (
    BadDataError,
    ConfigurationError,
    MissingColumnError,
    NoInputError,
    TextTypeError,
    UnreadableFileError,
)
from imdb_classifier.reviews.dataset import REVIEWS
from imdb_classifier.reviews.parquet import clean, read_extra, read_split

LOCAL = fs.LocalFileSystem()
FILE = fs.FileType.File
FOLDER = fs.FileType.Directory


def write(path: Path, text: object, label: object) -> str:
    pq.write_table(pa.table({"text": text, "other": label, "label": label}), path)
    return str(path)


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())],
    ids=str,
)
def test_every_kind_of_text_becomes_string(tmp_path: Path, kind: pa.DataType) -> None:
    text = pa.array(["bad", None, "good", "bad"])
    text = text.dictionary_encode() if pa.types.is_dictionary(kind) else text.cast(kind)
    path = write(tmp_path / "a.parquet", text, [0, 1, 1, None])
    assert pq.read_schema(path).field("text").type == kind

    table = read_split(LOCAL, path, FILE, "train")

    assert table.schema == REVIEWS
    assert table.column("text").to_pylist() == ["bad", None, "good", "bad"]
    assert table.column("label").to_pylist() == [0, 1, 1, -1]


@pytest.mark.parametrize(
    "label",
    [
        pa.array([0, 1, None, 1], pa.int64()),
        pa.array([0, 1, None, 1], pa.int8()),
        pa.array([0, 1, None, 1], pa.uint64()),
        pa.array([0.0, 1.0, float("nan"), 1.0]),
        pa.array([Decimal(0), Decimal(1), None, Decimal(1)]),
        pa.array([False, True, None, True]),
        pa.array(["Negative", "POSITIVE", None, "pos"]),
        pa.array(["0", " 1.0", None, "true"], pa.large_string()),
        pa.array(["neg", "pos", None, "pos"], pa.string_view()),
        pa.array(["neg", "pos", None, "pos"]).dictionary_encode(),
        pa.array([0, 1, None, 1]).dictionary_encode(),
    ],
    ids=lambda label: str(label.type),
)
def test_every_kind_of_label_becomes_int8(tmp_path: Path, label: pa.Array) -> None:
    path = write(tmp_path / "a.parquet", ["a", "b", "c", "d"], label)
    table = read_split(LOCAL, path, FILE, "train")
    assert table.column("label").to_pylist() == [0, 1, -1, 1]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(2, "2"), (-1, "-1"), (-2, "-2"), (255, "255"), (2**62, "4.61169e+18")],
    ids=str,
)
def test_other_labels_are_refused(tmp_path: Path, value: int, shown: str) -> None:
    path = write(tmp_path / "a.parquet", ["a", "b"], [1, value])
    message = f"a.parquet has other labels, such as {shown}."
    with pytest.raises(BadDataError, match=re.escape(message)):
        read_split(LOCAL, path, FILE, "train")


def test_half_a_label_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", ["a", "b"], [1.0, 0.5])
    with pytest.raises(BadDataError, match=r"such as 0\.5\."):
        read_split(LOCAL, path, FILE, "train")


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (["good"], r"such as good\. .* `label_map`"),
        (["So good"], r"such as one of 7 characters\."),
        (["A film of many words that I loved."], r"such as one of 34 characters\."),
        ([[1]], r"'label' of .* must contain numbers, booleans or text\. It is list"),
    ],
)
def test_other_labels_in_words_are_refused(
    tmp_path: Path, label: list[object], message: str
) -> None:
    path = write(tmp_path / "a.parquet", ["a"], label)
    with pytest.raises(BadDataError, match=message) as info:
        read_split(LOCAL, path, FILE, "train")
    assert "loved" not in str(info.value)


@pytest.mark.parametrize(
    ("label", "label_map", "expected"),
    [
        (
            [5, 1, 4, 2, 3],
            {"1": "negative", "2": "negative", "3": "unlabeled", "4": "positive", "5": "positive"},
            [1, 0, 1, 0, -1],
        ),
        ([5.0, 1.0, None], {"5": "positive", "1.0": "negative"}, [1, 0, -1]),
        ([1, -1], {"1": "positive", "-1": "negative"}, [1, 0]),
        ([1, 0, -1], {"1": "positive", "0": "negative", "-1": "unlabeled"}, [1, 0, -1]),
        (["Bad", "good "], {"good": "positive", "BAD": "negative"}, [0, 1]),
    ],
)
def test_a_map_says_what_labels_mean(
    tmp_path: Path, label: list[object], label_map: dict[str, str], expected: list[int]
) -> None:
    path = write(tmp_path / "a.parquet", ["a"] * len(label), label)
    table = read_extra(LOCAL, path, FILE, "train", label_map)
    assert table.column("label").to_pylist() == expected


def test_a_label_that_is_not_in_the_map_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", ["a", "b"], [5, 0])
    with pytest.raises(BadDataError, match=r"must be in `label_map`.*such as 0\."):
        read_extra(LOCAL, path, FILE, "train", {"5": "positive"})
    for wrong in ({"5": "good"}, {}):
        with pytest.raises(ConfigurationError, match=r"positive, negative or unlabeled\. Received"):
            read_extra(LOCAL, path, FILE, "train", wrong)


@pytest.mark.parametrize(
    ("names", "expected"),
    [(["neg", "pos"], [0, 1, -1]), (["positive", "negative"], [1, 0, -1]), ("odd", [0, 1, -1])],
)
def test_classes_of_hugging_face_have_names(
    tmp_path: Path, names: object, expected: list[int]
) -> None:
    features = {"text": {"_type": "Value"}, "label": {"names": names, "_type": "ClassLabel"}}
    stored = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table({"text": ["a", "b", "c"], "label": [0, 1, None]})
    path = str(tmp_path / "a.parquet")
    pq.write_table(table.replace_schema_metadata(stored), path)
    assert read_split(LOCAL, path, FILE, "train").column("label").to_pylist() == expected


def test_classes_with_other_names_are_refused_unless_mapped(tmp_path: Path) -> None:
    features = {"label": {"names": ["angry", "happy"], "_type": "ClassLabel"}}
    stored = {"huggingface": json.dumps({"info": {"features": features}})}
    path = str(tmp_path / "a.parquet")
    table = pa.table({"text": ["a", "b"], "label": [0, 1]})
    pq.write_table(table.replace_schema_metadata(stored), path)
    with pytest.raises(BadDataError, match=r"such as angry\."):
        read_split(LOCAL, path, FILE, "train")
    for label_map in (
        {"angry": "negative", "happy": "positive"},
        {"0": "negative", "1": "positive"},
    ):
        mapped = read_extra(LOCAL, path, FILE, "train", label_map)
        assert mapped.column("label").to_pylist() == [0, 1]


def test_labeled_rows_are_refused_as_unsupervised(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", ["a", "b"], [-1, 1])
    with pytest.raises(BadDataError, match=r"unsupervised split must be in \[-1\].*such as 1\."):
        read_split(LOCAL, path, FILE, "unsupervised")


def test_missing_columns_are_named(tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    pq.write_table(pa.table({"body": ["a"], "label": [1]}), path)
    with pytest.raises(
        MissingColumnError, match=r"'text' is not in .*a\.parquet\. .*: body, label\. Rename"
    ):
        read_split(LOCAL, path, FILE, "train")
    pq.write_table(pa.table({"text": ["a"], "stars": [1]}), path)
    with pytest.raises(MissingColumnError, match=r"'label' is not in .*: text, stars\."):
        read_split(LOCAL, path, FILE, "train")


@pytest.mark.parametrize(
    ("text", "received"),
    [([1], "int64"), ([b"a"], "binary"), ([{"text": "a"}], "struct<text: string>")],
)
def test_other_text_is_refused(tmp_path: Path, text: list[object], received: str) -> None:
    path = write(tmp_path / "a.parquet", text, [1])
    with pytest.raises(TextTypeError, match=rf"'text' of .* must contain .* {received}\."):
        read_split(LOCAL, path, FILE, "train")


@pytest.mark.parametrize("content", [b"", b"text,label\na,1\n", b"PAR1PAR1PAR1"], ids=repr)
def test_file_that_is_not_parquet_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError, match=r"a\.parquet must be a readable Parquet file"):
        read_split(LOCAL, str(path), FILE, "train")


def test_damaged_page_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"text": ["private words"], "label": [1]})
    pq.write_table(
        table,
        path,
        compression="none",
        use_dictionary=False,
        write_statistics=False,
        write_page_checksum=True,
    )
    path.write_bytes(path.read_bytes().replace(b"private words", b"private sword"))
    with pytest.raises(UnreadableFileError, match=r"a\.parquet .*CRC") as info:
        read_split(LOCAL, str(path), FILE, "train")
    assert "private" not in str(info.value)


def test_text_that_is_not_utf8_is_found(tmp_path: Path) -> None:
    offsets = pa.array([0, 9], pa.int32()).buffers()[1]
    text = pa.StringArray.from_buffers(1, offsets, pa.py_buffer(b"private \xff"))
    path = write(tmp_path / "a.parquet", text, [1])
    with pytest.raises(UnreadableFileError, match=r"a\.parquet .*Invalid UTF8") as info:
        read_split(LOCAL, path, FILE, "train")
    assert "private" not in str(info.value)


def test_folder_gives_the_files_of_the_split_in_order(tmp_path: Path) -> None:
    write(tmp_path / "train-00001-of-00002.parquet", ["second"], [1])
    write(tmp_path / "train-00000-of-00002.parquet", ["first"], [0])
    write(tmp_path / "test.parquet", ["tested"], [0])
    write(tmp_path / "training-notes.parquet", ["other"], [1])
    train = read_split(LOCAL, str(tmp_path), FOLDER, "train")
    test = read_split(LOCAL, str(tmp_path), FOLDER, "test")
    assert train.column("text").to_pylist() == ["first", "second"]
    assert test.column("text").to_pylist() == ["tested"]
    with pytest.raises(NoInputError, match=r"contain unsupervised-\*\.parquet or be the unpack"):
        read_split(LOCAL, str(tmp_path), FOLDER, "unsupervised")


def test_file_of_another_split_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "train-0.parquet", ["a"], [1])
    with pytest.raises(NoInputError, match=r"test split cannot .* it is the train split"):
        read_split(LOCAL, path, FILE, "test")


def test_extra_takes_a_file_or_the_train_part_or_all_of_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "b.parquet", ["b"], [1])
    file = write(tmp_path / "a.parquet", ["a"], [0])

    def texts(path: str, kind: fs.FileType) -> list[str]:
        column: list[str] = read_extra(LOCAL, path, kind, "train").column("text").to_pylist()
        return column

    assert texts(file, FILE) == ["a"]
    assert texts(str(tmp_path), FOLDER) == ["a", "b"]
    write(tmp_path / "train-0.parquet", ["t"], [0])
    write(tmp_path / "test-0.parquet", ["held out"], [0])
    assert texts(str(tmp_path), FOLDER) == ["t"]


def test_extra_folder_without_parquet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match=r"must contain \*\.parquet"):
        read_extra(LOCAL, str(tmp_path), FOLDER, "train")


def test_clean_counts_each_row_once() -> None:
    text = [None, None, "", " \t\n", "\u00a0\u2003\u0085", "", "kept", "unlabeled", " kept "]
    label = [1, -1, 0, 1, 1, -1, 1, -1, 0]
    table, left_out = clean(pa.table([text, label], schema=REVIEWS), "train")
    assert table.to_pydict() == {"text": ["kept", " kept "], "label": [1, 0]}
    assert left_out == {"null": 2, "blank": 4, "unlabeled": 1}


def test_clean_keeps_unlabeled_rows_of_the_unsupervised_split() -> None:
    table = pa.table([["a", "", None], [-1, -1, -1]], schema=REVIEWS)
    table, left_out = clean(table, "unsupervised")
    assert table.to_pydict() == {"text": ["a"], "label": [-1]}
    assert left_out == {"null": 1, "blank": 1, "unlabeled": 0}
