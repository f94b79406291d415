from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from imdb_classifier.reviews.sources import DATA_VARIABLE, SourceStatus, describe_sources


def test_describe_sources(
    tmp_path: Path, publish: Callable[[Path, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache" / "imdb-classifier"
    keras = tmp_path / "keras" / "datasets"
    archive = cache / "aclImdb_v1.tar.gz"
    cache.mkdir(parents=True)
    archive.write_bytes(b"published")
    assert describe_sources() == [
        SourceStatus("keras", str(keras), "missing", None),
        SourceStatus("aclimdb", str(cache), "damaged", None),
    ]
    publish(archive, "ACLIMDB")
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "train.parquet").write_bytes(bytes(700))
    monkeypatch.setenv(DATA_VARIABLE, str(folder))
    assert describe_sources() == [
        SourceStatus(DATA_VARIABLE, str(folder), "configured", 700),
        SourceStatus("keras", str(keras), "missing", None),
        SourceStatus("aclimdb", str(cache), "cached", 9),
    ]
    monkeypatch.setenv(DATA_VARIABLE, "s3://bucket/reviews")
    status = describe_sources()[0]
    assert status == SourceStatus(DATA_VARIABLE, "s3://bucket/reviews", "configured", None)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(DATA_VARIABLE, "~/own")
    assert describe_sources()[0] == SourceStatus(DATA_VARIABLE, "~/own", "configured", 700)
