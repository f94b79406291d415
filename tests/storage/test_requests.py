"""How many requests a run makes to an object store, and how many bytes it gets from it."""

from __future__ import annotations

import re
import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier import storage
from imdb_classifier.batch.dry_run import dry_run_parquet
from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.batch.run import score_parquet
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.storage import storage_of

FOOTER_BYTES = 1 << 16
HEADER_BYTES = 1 << 11


REQUEST = re.compile(rb"(GET|HEAD|PUT|POST|DELETE) (/[^ ?]*)[^ ]* HTTP/1.1")


@dataclass
class Request:
    method: str
    key: str
    answered: int = 0
    """Bytes of the answer, with its header."""


@pytest.fixture
def requests(
    bucket: str, object_store: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[Request]]:
    """All requests to the object store, in order; a connection has one at a time."""
    seen: list[Request] = []
    host, port = object_store.removeprefix("http://").split(":")

    class Relay(BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((host, int(port))) as store:
                ours: list[Request] = []
                while True:
                    for ready in select.select([self.request, store], [], [])[0]:
                        if not (data := ready.recv(1 << 16)):
                            return
                        if ready is store:
                            ours[-1].answered += len(data)
                            self.request.sendall(data)
                        else:
                            if found := REQUEST.match(data):
                                ours.append(Request(found[1].decode(), found[2].decode()))
                                seen.append(ours[-1])
                            store.sendall(data)

    with ThreadingTCPServer(("127.0.0.1", 0), Relay) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
        storage.object_storage.cache_clear()
        yield seen
        storage.object_storage.cache_clear()
        server.shutdown()


def write(folder: str, names: list[str]) -> None:
    rows = ["A fine film with a long plot. " * 100] * 1_000
    table = pa.table({"text": rows, "noise": [str(hash(str(row))) * 20 for row in range(1_000)]})
    for name in names:
        with storage_of(folder).writing(f"{folder}/{name}") as path:
            pq.write_table(table, path, use_dictionary=False, compression="none")


def test_a_run_with_nothing_to_do_gets_one_footer_an_input_and_one_an_output(
    bucket: str, requests: list[Request], scorer: Scorer
) -> None:
    source, output = f"{bucket}/in", f"{bucket}/out"
    names = [f"{number}.parquet" for number in range(6)]
    totals = {}
    for count in (3, 6):
        write(source, names[:count])
        assert score_parquet(source, output, scorer).exit_code == 0
        requests.clear()
        assert len(score_parquet(source, output, scorer).of_status("reused")) == count
        of_files = [request for request in requests if request.key.endswith(".parquet")]
        # Arrow asks for the length before it opens a file.
        assert sorted((request.key.split("/", 2)[2], request.method) for request in of_files) == [
            (f"{folder}/{name}", method)
            for folder in ("in", "out")
            for name in names[:count]
            for method in ("GET", "HEAD")
        ]
        assert all(request.answered <= FOOTER_BYTES + HEADER_BYTES for request in of_files)
        totals[count] = len(requests)
    assert totals[6] - totals[3] == 2 * 2 * 3
    requests.clear()
    dry_run_parquet(source, output, scorer)
    assert len([request for request in requests if request.key.endswith(".parquet")]) == 2 * 2 * 6


@pytest.mark.parametrize("column", ["text", "noise"])
def test_chosen_columns_and_the_text_are_fetched_once(
    bucket: str, requests: list[Request], scorer: Scorer, column: str
) -> None:
    source, output = f"{bucket}/in", f"{bucket}/out"
    write(source, ["a.parquet"])
    with storage_of(source).open(f"{source}/a.parquet") as file:
        group = pq.read_metadata(file).row_group(0)
    text, noise = (group.column(number).total_compressed_size for number in range(2))
    wanted = text + (noise if column == "noise" else 0)
    requests.clear()
    assert score_parquet(source, output, scorer, ScoreOptions(columns=[column])).exit_code == 0
    gets = [r.answered for r in requests if r.method == "GET" and "/in/a.parquet" in r.key]
    assert wanted <= sum(gets) <= wanted + 3 * FOOTER_BYTES
    assert min(text, noise) > 5 * FOOTER_BYTES


def test_scoring_gets_an_input_once(bucket: str, requests: list[Request], scorer: Scorer) -> None:
    source, output = f"{bucket}/in", f"{bucket}/out"
    write(source, ["a.parquet"])
    with storage_of(source).open(f"{source}/a.parquet") as file:
        size = file.size()
    requests.clear()
    assert score_parquet(source, output, scorer).exit_code == 0
    gets = [r.answered for r in requests if r.method == "GET" and "/in/a.parquet" in r.key]
    # Its data, and its footer when it is assessed and when it is scored.
    assert size - FOOTER_BYTES <= sum(gets) <= size + 3 * FOOTER_BYTES
    assert size > 20 * FOOTER_BYTES
