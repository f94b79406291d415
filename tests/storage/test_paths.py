from __future__ import annotations

import os
from pathlib import Path

import pytest

from imdb_classifier.errors import ConfigurationError
from imdb_classifier.storage.paths import to_str


@pytest.mark.parametrize("path", ["a/b/", "s3://bucket/a", "~/a", "C:/a", "s3:/is-a-folder"])
def test_strings_stay_as_they_are(path: str) -> None:
    assert to_str(path) == path


@pytest.mark.parametrize("path", ["a/b", "/a/b", "C:/a", "notes: 1/b"])
def test_a_path_is_its_name(path: str) -> None:
    assert to_str(Path(path)) == path


def test_other_path_objects_may_stand_for_a_uri() -> None:
    class Remote(os.PathLike[str]):
        def __fspath__(self) -> str:
            return "s3://bucket/a"

    assert to_str(Remote()) == "s3://bucket/a"


@pytest.mark.parametrize("uri", ["s3://bucket/a", "gs://bucket", "https://host/a"])
def test_a_uri_that_pathlib_has_changed_is_refused(uri: str) -> None:
    collapsed = uri.replace("//", "/")
    with pytest.raises(ConfigurationError, match=f"The path is {collapsed}. Pass the URI itself"):
        to_str(Path(uri))
