"""What the paths of users mean."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imdb_classifier.errors import ConfigurationError, ImdbClassifierError
from imdb_classifier.storage import absolute_location
from imdb_classifier.storage.paths import (
    UnknownSchemeError,
    UnsetVariableError,
    location_of,
    side_stem_of,
)


@pytest.mark.parametrize(
    "path",
    ["a/b/", "s3://bucket/a/b/", "gs://bucket/a b%20*", "C:/a", "./s3:/is-a-folder", "a~", ""],
)
def test_locations_stay_as_they_are(path: str) -> None:
    assert location_of(path) == path


@pytest.mark.parametrize("path", ["a/b", "/a/b", "C:/a", "notes: 1/b"])
def test_a_path_is_its_name(path: str) -> None:
    assert location_of(Path(path)) == path


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("s3a://bucket/a", "s3://bucket/a"),
        ("s3n://bucket/a", "s3://bucket/a"),
        ("S3://Bucket/A", "s3://Bucket/A"),
        ("GS://bucket/a", "gs://bucket/a"),
        ("abfss://in@account.dfs.core.windows.net/a", "abfs://in@account.dfs.core.windows.net/a"),
        ("s3://bucket/a@b/*.parquet", "s3://bucket/a@b/*.parquet"),
        ("file:///a/b%20c/*.parquet", "/a/b c/*.parquet"),
        ("file://localhost/a", "/a"),
        ("FILE:/a", "/a"),
    ],
)
def test_uris(path: str, location: str) -> None:
    assert location_of(path) == location
    assert location_of(location) == location


@pytest.mark.parametrize("account", ["", "@account", "@Account.blob.core.windows.net"])
@pytest.mark.parametrize("scheme", ["abfs", "abfss"])
def test_a_place_in_azure_has_one_location(
    monkeypatch: pytest.MonkeyPatch, scheme: str, account: str
) -> None:
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING", raising=False)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "account")
    location = "abfs://in@account.dfs.core.windows.net/a@b"
    assert location_of(f"{scheme}://in{account}/a@b") == location_of(location) == location
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "EndpointSuffix=core.chinacloudapi.cn")
    assert location_of("abfs://in/") == "abfs://in@account.dfs.core.chinacloudapi.cn/"


def test_home_and_variables_are_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    variables = {"HOME": "/home/me", "DAY": "2026-11-01", "BUCKET": "s3a://lake", "AT_HOME": "~/a"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for path, location in {
        "~": "/home/me",
        "~/reviews": "/home/me/reviews",
        "$HOME/reviews": "/home/me/reviews",
        "in/day=${DAY}/${DAY}.parquet": "in/day=2026-11-01/2026-11-01.parquet",
        "$BUCKET/reviews": "s3://lake/reviews",
        "s3://lake/day=$DAY": "s3://lake/day=2026-11-01",
        "file:///in/$DAY": "/in/2026-11-01",
        "$AT_HOME/b": "/home/me/a/b",
        "costs $5/a$": "costs $5/a$",
    }.items():
        assert location_of(path) == location
    assert location_of(Path("~/reviews")) == "/home/me/reviews"
    assert absolute_location("$DAY") == f"{tmp_path}/2026-11-01"
    assert absolute_location("$BUCKET/a") == "s3://lake/a"


@pytest.mark.parametrize("path", ["${NOT_SET}/a", "$NOT_SET", "s3://bucket/${NOT_SET}"])
def test_a_variable_that_is_not_set_is_an_error(path: str) -> None:
    with pytest.raises(UnsetVariableError, match=r"NOT_SET in .* is not\. Set it") as caught:
        location_of(path)
    assert caught.value.exit_code == 2


def test_names_that_exist_are_taken_literally(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "${NOT_SET}").mkdir()
    (tmp_path / "$HOME").mkdir()
    for name in ("${NOT_SET}", "$HOME", "${NOT_SET}/new.parquet", "$HOME/new.parquet"):
        assert location_of(f"{tmp_path}/{name}") == f"{tmp_path}/{name}"
        assert location_of(f"~/{name}") == f"{tmp_path}/{name}"


@pytest.mark.parametrize(
    "path",
    [
        "hdfs://name/a",
        "https://host/a",
        "file://other-host/a",
        "gcs://bucket",
        "az://in/a",
        "dbfs:/a",
    ],
)
def test_other_uris_are_refused(path: str) -> None:
    uri = re.sub(":/+", "://", path)
    with pytest.raises(UnknownSchemeError, match=f"start with s3://, gs://.* It is {uri}") as info:
        location_of(path)
    assert info.value.exit_code == 2


@pytest.mark.parametrize("path", ["s3:/bucket/a", "S3A:bucket/a", "gs:/bucket"])
def test_a_uri_that_has_lost_a_slash_is_no_folder(path: str) -> None:
    meant = path.replace(":/", ":").replace(":", "://").replace("S3A", "s3")
    with pytest.raises(ConfigurationError, match=rf"The path is {path}\. Write {meant}, or \./"):
        location_of(path)


@pytest.mark.parametrize("start", ["s3://", "gs://", "https://", "nowhere://", "s3:/", "https:"])
def test_credentials_in_a_uri_are_refused_and_not_repeated(start: str) -> None:
    with pytest.raises(ImdbClassifierError, match=r"[a-z3]+://host/reviews") as info:
        location_of(f"{start}key:secret@host/reviews")
    assert "secret" not in str(info.value)


def test_keys_with_empty_parts_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"empty parts.*s3a://bucket/in//a\.parquet"):
        location_of("s3a://bucket/in//a.parquet")


def test_other_path_objects_may_stand_for_a_uri() -> None:
    class Remote(os.PathLike[str]):
        def __fspath__(self) -> str:
            return "s3a://bucket/a"

    assert location_of(Remote()) == "s3://bucket/a"


@pytest.mark.parametrize("uri", ["s3://bucket/a", "gs://bucket", "https://host/a"])
def test_a_uri_that_pathlib_has_changed_is_refused(uri: str) -> None:
    collapsed = uri.replace("//", "/")
    with pytest.raises(ConfigurationError, match=f"The path is {collapsed}. Pass the URI itself"):
        location_of(Path(uri))


@given(st.lists(st.text("ab._", min_size=1, max_size=5), min_size=2, max_size=40, unique=True))
def test_reports_on_different_files_have_different_names(names: list[str]) -> None:
    stems = [side_stem_of(name) for name in names]
    assert len({*stems}) == len(names)
    assert side_stem_of("a.parquet") == "a_parquet" != side_stem_of("a_parquet")
