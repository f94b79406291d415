"""Downloads from a server on this machine; no network is needed."""

from __future__ import annotations

import hashlib
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from imdb_classifier.errors import (
    CannotWriteError,
    ChecksumError,
    MissingExtraError,
)
from imdb_classifier.reviews import sources
from imdb_classifier.reviews.download import DownloadError, fetch
from imdb_classifier.reviews.sources import (
    NoReviewsError,
    PublishedFile,
    cache_folder,
    cached_files,
)

BODY = bytes(range(256)) * 2_000
MD5 = hashlib.md5(BODY).hexdigest()
SHA256 = hashlib.sha256(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    bodies: dict[str, bytes]
    cut_after: int | None
    requests: list[str]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        body = self.server.bodies.get(self.path)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.cut_after])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.bodies = {"/archive": BODY, "/ids": BODY, "/words": BODY}
        server.cut_after = None
        server.requests = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def published(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    archive = PublishedFile("archive.tar.gz", f"{url}/archive", "sha256", SHA256)
    ids = PublishedFile("imdb.npz", f"{url}/ids", "sha256", SHA256)
    words = PublishedFile("imdb_word_index.json", f"{url}/words", "md5", MD5)
    monkeypatch.setattr(sources, "ACLIMDB", archive)
    monkeypatch.setattr(sources, "KERAS_IDS", ids)
    monkeypatch.setattr(sources, "KERAS_WORDS", words)


def everything_below(folder: Path) -> list[str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in files)


def test_archive_lands_in_the_cache_folder(server: Server, tmp_path: Path) -> None:
    path = fetch("aclimdb")

    assert path == cache_folder("aclimdb") / "archive.tar.gz"
    assert path.is_relative_to(tmp_path)
    assert path.read_bytes() == BODY
    assert everything_below(tmp_path) == ["cache/imdb-classifier/archive.tar.gz"]
    assert cached_files("aclimdb") == (path,)


def test_keras_files_land_where_keras_looks(tmp_path: Path) -> None:
    assert fetch("keras") == tmp_path / "keras" / "datasets"
    assert everything_below(tmp_path / "keras" / "datasets") == ["imdb.npz", "imdb_word_index.json"]


def test_keras_files_are_looked_for_in_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERAS_HOME")
    assert cache_folder("keras") == Path.home() / ".keras" / "datasets"


def test_intact_file_is_not_fetched_again(server: Server) -> None:
    fetch("keras")
    fetch("keras")
    assert server.requests == ["/ids", "/words"]


def test_damaged_file_is_refused_and_can_be_fetched_again() -> None:
    path = fetch("aclimdb")
    path.write_bytes(BODY[:-1])
    with pytest.raises(ChecksumError, match=rf"archive\.tar\.gz must have .* {SHA256}\..* Delete"):
        cached_files("aclimdb")
    fetch("aclimdb")
    assert cached_files("aclimdb")[0].read_bytes() == BODY


def test_missing_files_are_named_with_three_ways_out(tmp_path: Path) -> None:
    with pytest.raises(
        NoReviewsError,
        match=r"There is no imdb\.npz and no imdb_word_index\.json in .*, and nothing is "
        r"downloaded automatically\. .*`data` or IMDB_CLASSIFIER_DATA .*data fetch`; or put the",
    ):
        cached_files("keras")
    assert everything_below(tmp_path) == []


def test_other_content_is_refused_and_not_kept(server: Server, tmp_path: Path) -> None:
    server.bodies["/archive"] = BODY[::-1]
    with pytest.raises(ChecksumError, match=rf"/archive must have .* {SHA256}.*Nothing was"):
        fetch("aclimdb")
    assert everything_below(tmp_path) == []


def test_truncated_body_is_refused_and_not_kept(server: Server, tmp_path: Path) -> None:
    server.cut_after = 100_000
    with pytest.raises(DownloadError, match=r"complete file\. The download failed: .*nothing was"):
        fetch("aclimdb")
    assert everything_below(tmp_path) == []


def test_missing_page_names_the_ways_out(server: Server, tmp_path: Path) -> None:
    server.bodies.clear()
    with pytest.raises(
        NoReviewsError,
        match=r"404 Client Error: .*Do one of .*`data` or .*data fetch` again; .*save the",
    ):
        fetch("aclimdb")
    assert everything_below(tmp_path) == []


def test_no_network_names_the_ways_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/archive"
    monkeypatch.setattr(sources, "ACLIMDB", replace(sources.ACLIMDB, url=url))
    with pytest.raises(NoReviewsError, match=r"refused.*; nothing was kept\. Do one of"):
        fetch("aclimdb")
    assert everything_below(tmp_path) == []


def test_cache_folder_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    with pytest.raises(CannotWriteError, match=r"imdb\.npz cannot be written: .*KERAS_HOME"):
        fetch("keras")


def test_failed_refetch_keeps_what_was_there(server: Server, tmp_path: Path) -> None:
    target = cache_folder("aclimdb") / "archive.tar.gz"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"mine")
    server.bodies.clear()
    with pytest.raises(DownloadError, match="404"):
        fetch("aclimdb")
    assert target.read_bytes() == b"mine"
    assert everything_below(tmp_path) == ["cache/imdb-classifier/archive.tar.gz"]


def test_progress_is_shown_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch("aclimdb")
    shown = capsys.readouterr()
    assert "%" not in shown.out + shown.err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fetch("keras")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("100%") == 2


def test_missing_pooch_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingExtraError, match=r"needs the package pooch\..*classifier\[train\]"):
        fetch("aclimdb")


@pytest.mark.parametrize("name", ["ACLIMDB", "KERAS_IDS", "KERAS_WORDS"])
def test_published_files_come_over_https(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    file: PublishedFile = getattr(sources, name)
    assert file.url.startswith("https://")
    assert file.url.endswith(f"/{file.name}")
    assert len(file.digest) == {"sha256": 64, "md5": 32}[file.algorithm]
