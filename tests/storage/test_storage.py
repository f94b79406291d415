from __future__ import annotations

import re
import select
import socket
import socketserver
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from imdb_classifier import storage
from imdb_classifier.batch.inputs.discovery import discover_files
from imdb_classifier.batch.options import ScoreOptions, Selection
from imdb_classifier.batch.run import score_parquet
from imdb_classifier.errors import (
    CannotWriteError,
    NoInputError,
    OutputExistsError,
    UnavailableError,
)
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.storage import storage_of
from imdb_classifier.storage.object_store import ObjectStorage
from imdb_classifier.storage.paths import StrPath, UnknownSchemeError

TEXTS = ["A wonderful film.", None, "", "Dull and badly acted."]


def put(path: str, table: pa.Table) -> None:
    with storage_of(path).writing(path) as name:
        pq.write_table(table, name)


def get(path: str) -> bytes:
    with storage_of(path).reading(path) as name:
        return Path(name).read_bytes()


def test_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path, expected in {
        "in/*.parquet": f"{tmp_path}/in/*.parquet",
        "/in": "/in",
        "s3://bucket/in": "s3://bucket/in",
    }.items():
        assert storage_of(path).absolute(path) == expected


@pytest.fixture
def tree(bucket: str) -> str:
    for name in ("a.parquet", "day=1/b c.parquet", "day=2/ü.parquet", "_left/out.parquet"):
        put(f"{bucket}/in/{name}", pa.table({"text": [*TEXTS, name]}))
    put(f"{bucket}/in/README.txt", pa.table({"text": TEXTS}))
    return f"{bucket}/in"


def names(folder: str) -> list[str]:
    return list(storage_of(folder).find(folder).names)


SCORED = ["_MANIFEST.json", "_SUCCESS", "a.parquet", "day=1/b c.parquet", "day=2/ü.parquet"]


def test_a_tree_in_an_object_store(
    tree: str, bucket: str, tmp_path: Path, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(copies))
    output = f"{bucket}/out"
    first = score_parquet(tree, output, scorer)
    assert (first.exit_code, [file.status for file in first.files]) == (0, ["scored"] * 3)
    assert names(output) == SCORED
    again = score_parquet(f"{tree}/", output, scorer)
    assert [file.status for file in again.files] == ["reused"] * 3
    # The same bytes as on this machine.
    score_parquet(tree, str(tmp_path / "out"), scorer)
    for name in SCORED[2:]:
        assert get(f"{output}/{name}") == (tmp_path / "out" / name).read_bytes()
    score_parquet(str(tmp_path / "out"), f"{bucket}/twice", scorer, ScoreOptions(prefix="again_"))
    assert names(f"{bucket}/twice") == SCORED
    assert not list(copies.glob("imdb-classifier-*/files/*put"))


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.parquet", ["a.parquet"]),
        ("**/*.parquet", ["a.parquet", "day=1/b c.parquet", "day=2/ü.parquet"]),
        ("day=?/[b-c]*.parquet", ["day=1/b c.parquet"]),
        ("day=*/**/?.parquet", ["day=2/ü.parquet"]),
    ],
)
def test_patterns_mean_the_same_everywhere(
    tree: str, tmp_path: Path, pattern: str, found: list[str]
) -> None:
    for name in names(tree):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    for root in (tree, str(tmp_path / "in")):
        planned = discover_files(f"{root}/{pattern}", "out").files
        assert [file.source for file in planned] == [f"{root}/{name}" for name in found]


def test_a_single_object(tree: str, bucket: str, scorer: Scorer) -> None:
    result = score_parquet(f"{tree}/a.parquet", f"{bucket}/one.parquet", scorer)
    assert result.files[0].output == f"{bucket}/one.parquet"
    assert result.totals()["rows"] == 5


def test_an_object_that_appears_during_scoring_is_not_replaced(
    tree: str, bucket: str, scorer: Scorer
) -> None:
    target = f"{bucket}/scored/a.parquet"

    def appear(*_: object) -> None:
        storage_of(target).write_text(target, "mine")

    with pytest.raises(OutputExistsError, match=r"a\.parquet .* wrote it during this run"):
        score_parquet(f"{tree}/a.parquet", target, scorer, progress=appear)
    assert get(target) == b"mine"
    listed = f"{bucket}/scored/_quarantine/a_parquet.csv"
    storage_of(target).delete(target)
    storage_of(listed).write_text(listed, "mine")
    options = ScoreOptions(quarantine=True)
    with pytest.raises(
        OutputExistsError, match=r"a_parquet\.csv .* imdb-classifier did not write it"
    ):
        score_parquet(f"{tree}/a.parquet", target, scorer, options)
    assert get(listed) == b"mine"
    storage_of(listed).delete(listed)
    score_parquet(f"{tree}/a.parquet", target, scorer, options)
    assert get(listed).startswith(b"file,row,reason\n")


def test_what_cannot_be(tree: str, bucket: str, scorer: Scorer) -> None:
    with pytest.raises(NoInputError, match="nothing matches no file"):
        discover_files(f"{bucket}/nothing", f"{bucket}/out")
    with pytest.raises(CannotWriteError, match="must lie outside the input"):
        discover_files(tree, f"{tree}/out")
    with pytest.raises(NoInputError, match="there is no bucket there-is-no-such-bucket"):
        discover_files("s3://there-is-no-such-bucket/*.parquet", f"{bucket}/out")
    with pytest.raises(CannotWriteError, match="there is no bucket there-is-no-such-bucket"):
        score_parquet(tree, "s3://there-is-no-such-bucket/out", scorer)


def test_an_upload_that_fails_leaves_the_object_as_it_was(
    tree: str, bucket: str, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = f"{tree}/a.parquet", f"{bucket}/one.parquet"
    score_parquet(source, target, scorer)
    before = get(target)
    monkeypatch.setattr(
        "imdb_classifier.batch.outputs.scored_file._check_rows",
        lambda *_: (_ for _ in ()).throw(OSError),
    )
    put(source, pa.table({"text": ["another"]}))
    with pytest.raises(CannotWriteError, match=re.escape(target)):
        score_parquet(source, target, scorer, selection=Selection("stale"))
    assert get(target) == before


class CutProxy(socketserver.ThreadingTCPServer):
    """A proxy that breaks all connections once so many bytes were sent in either direction."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, target: str, most: int) -> None:
        self.target = target.removeprefix("http://").split(":")
        self.left = most
        super().__init__(("127.0.0.1", 0), CutConnection)


class CutConnection(socketserver.BaseRequestHandler):
    server: CutProxy

    def handle(self) -> None:
        host, port = self.server.target
        with socket.create_connection((host, int(port))) as behind:
            ends = [self.request, behind]
            while self.server.left > 0:
                for end in select.select(ends, [], [], 1)[0]:
                    data = end.recv(min(4096, max(self.server.left, 1)))
                    self.server.left -= len(data)
                    if not data:
                        return
                    (behind if end is self.request else self.request).sendall(data)


@pytest.mark.parametrize("most", [0, 2_000, 6_000, 12_000, 20_000, 30_000, 45_000])
def test_connections_that_break_lose_nothing(
    tree: str,
    bucket: str,
    object_store: str,
    scorer: Scorer,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
) -> None:
    output = f"{bucket}/out"
    score_parquet(tree, f"{bucket}/undisturbed", scorer)
    with CutProxy(object_store, most) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_address[1]}")
        storage.object_storage.cache_clear()
        with suppress(UnavailableError, CannotWriteError):
            result = score_parquet(tree, output, scorer)
            assert result.failed
        proxy.shutdown()
    monkeypatch.setenv("AWS_ENDPOINT_URL", object_store)
    storage.object_storage.cache_clear()
    there = names(output) if storage_of(output).kind(output) else []
    assert "_SUCCESS" not in there
    for name in set(there) - {"_MANIFEST.json"}:
        assert get(f"{output}/{name}") == get(f"{bucket}/undisturbed/{name}")
    assert score_parquet(tree, output, scorer).exit_code == 0
    assert names(output) == SCORED
    for name in SCORED:
        assert get(f"{output}/{name}") == get(f"{bucket}/undisturbed/{name}")


def test_a_folder_is_sent_in_an_order_that_ends_with_the_last_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(ObjectStorage, "_send", lambda _, copy, key: sent.append(key))
    with ObjectStorage(fs.LocalFileSystem()).writing_folder("s3://a/b", "SUMS") as folder:
        for name in ("SUMS", "a", "z"):
            (folder / name).touch()
    assert (sorted(sent[:2]), sent[2:]) == (["a/b/a", "a/b/z"], ["a/b/SUMS"])


@pytest.mark.parametrize("path", ["hdfs://name/in", "gcs://b/in", "https://b/in"])
def test_other_uris_never_name_a_folder_of_this_machine(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scorer: Scorer
) -> None:
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table({"text": ["Good."]}), "in.parquet")
    for source, output in ((path, "out"), ("in.parquet", path)):
        with pytest.raises(UnknownSchemeError, match=r"must be on this machine or start with s3:"):
            score_parquet(source, output, scorer)
    assert [file.name for file in tmp_path.iterdir()] == ["in.parquet"]


def test_all_ways_to_write_a_path(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scorer: Scorer
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LAKE", bucket)
    name = bucket.removeprefix("s3://")
    pq.write_table(pa.table({"text": ["Good."]}), "in.parquet")
    source = (tmp_path / "in.parquet").as_uri()
    score_parquet(source, "out.parquet", scorer)
    expected = (tmp_path / "out.parquet").read_bytes()
    folders = ["~/a b/", f"file://{tmp_path}/a%20b/", "$HOME/a/", f"S3://{name}/a/"]
    files: list[StrPath] = [f"s3a://{name}/b.parquet", Path("~/b.parquet"), "${LAKE}/c.parquet"]
    for output in (*folders, *files):
        score_parquet(source, output, scorer)
    for written in ("home/a b", "a b", "home/a"):
        assert (tmp_path / written / "in.parquet").read_bytes() == expected
    assert (tmp_path / "home" / "b.parquet").read_bytes() == expected
    for written in ("a/in.parquet", "b.parquet", "c.parquet"):
        assert get(f"{bucket}/{written}") == expected
    again = score_parquet(f"S3A://{name}/a/", "again", scorer, ScoreOptions(prefix="again_"))
    assert [file.status for file in again.files] == ["scored"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a b", "again", "home", "in.parquet", "out.parquet",
    ]  # fmt: skip
