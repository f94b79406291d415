"""The review sample: what is committed, and what the build refuses."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from imdb_classifier.errors import BadDataError
from imdb_classifier.samples import FOLDER
from tests.samples.build import SOURCE, build

FILES = ("train-00000-of-00001.parquet", "test-00000-of-00001.parquet")
SIX = """
[[plain.positive]]
text = "Good  fun,\\n to the end."
[[plain.positive]]
text = "Great cast."
[[plain.positive]]
text = "I laughed a lot."
[[plain.negative]]
text = "Bad."
[[plain.negative]]
text = "A dull one."
[[plain.negative]]
text = "I slept."
"""


def build_text(text: str, folder: Path) -> None:
    source = folder / "reviews.toml"
    source.write_text(text, encoding="utf-8")
    build(source, folder)


def rows(name: str) -> list[tuple[str, int, str]]:
    table = pq.read_table(FOLDER / name)
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def test_committed_files_are_what_the_source_gives(tmp_path: Path) -> None:
    build(SOURCE, tmp_path)
    for name in FILES:
        built, committed = pq.read_table(tmp_path / name), pq.read_table(FOLDER / name)
        assert built.schema.equals(committed.schema, check_metadata=True)
        assert built.equals(committed), f"{name}: run python -m tests.samples.build"
        for folder in (tmp_path, FOLDER):
            column = pq.read_metadata(folder / name).row_group(0).column(0)
            assert column.compression == "ZSTD"


def test_two_builds_give_the_same_bytes(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        build(SOURCE, folder)
    for name in FILES:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_files_have_the_layout_of_the_parquet_source() -> None:
    for name in FILES:
        schema = pq.read_schema(FOLDER / name)
        fields = [(field.name, str(field.type)) for field in schema]
        assert fields == [("text", "string"), ("label", "int64"), ("kind", "string")]


@pytest.mark.parametrize(
    ("name", "of_each_label"),
    [
        (
            FILES[0],
            {
                "plain": 32,
                "negation": 10,
                "irony": 8,
                "mixed": 12,
                "short": 10,
                "long": 3,
                "product": 14,
            },
        ),
        (
            FILES[1],
            {
                "plain": 16,
                "negation": 5,
                "irony": 4,
                "mixed": 6,
                "short": 5,
                "long": 1,
                "product": 6,
            },
        ),
    ],
)
def test_counts(name: str, of_each_label: dict[str, int]) -> None:
    for label in (0, 1):
        assert Counter(kind for _, row_label, kind in rows(name) if row_label == label) == (
            of_each_label
        )


def test_labels_alternate() -> None:
    for name in FILES:
        labels = [label for _, label, _ in rows(name)]
        assert labels == [0, 1] * (len(labels) // 2)


def test_no_text_twice_in_either_split() -> None:
    texts = [text.casefold() for name in FILES for text, _, _ in rows(name)]
    assert len(set(texts)) == len(texts) == 264


def test_lengths_fit_the_kinds() -> None:
    words = [(kind, len(text.split())) for name in FILES for text, _, kind in rows(name)]
    assert all(1 <= n <= 10 for kind, n in words if kind == "short")
    assert all(120 <= n <= 250 for kind, n in words if kind == "long")
    assert all(10 < n <= 60 for kind, n in words if kind not in ("short", "long"))


def test_every_third_review_is_test_and_space_is_joined(tmp_path: Path) -> None:
    build_text(SIX, tmp_path)
    train, test = (pq.read_table(tmp_path / name).to_pydict() for name in FILES)
    assert train == {
        "text": ["Bad.", "Good fun, to the end.", "A dull one.", "Great cast."],
        "label": [0, 1, 0, 1],
        "kind": ["plain"] * 4,
    }
    assert test == {
        "text": ["I slept.", "I laughed a lot."],
        "label": [0, 1],
        "kind": ["plain"] * 2,
    }


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("I slept.", "great CAST!", "plain.negative number 3 repeats plain.positive number 2"),
        ("I slept.", " \\n", "plain.negative number 3 has none"),
        ('text = "Bad."', "", "plain.negative number 1 has none"),
        ('[[plain.negative]]\ntext = "Bad."', "", "1 of 1 in test are"),
        ("plain.", "plian.", r"has \[\[plian.positive\]\]"),
        (".negative", ".bad", r"has \[\[plain.bad\]\]"),
    ],
)
def test_build_refuses_and_writes_nothing(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in SIX
    with pytest.raises(BadDataError, match=message):
        build_text(SIX.replace(old, new), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["reviews.toml"]
