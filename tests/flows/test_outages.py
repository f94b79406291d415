"""What dies in mid-run, and what is left then; and what the server keeps its data in."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imdb_classifier.storage.files import sha256_of
from tests.flows.conftest import SCORE_PROGRAM, Server, prefect_server, write_many
from tests.servers import free_port
from tests.waiting import wait_for

DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
POSTGRES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
"""Where Debian's package puts it."""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    """A server that a test may stop."""
    home = tmp_path / "prefect"
    home.mkdir()
    # Programs give it up after some seconds, not after a minute of Prefect's.
    with prefect_server(home, {"PREFECT_CLIENT_MAX_RETRIES": "2"}) as server:
        yield server


def _sums(folder: Path) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in sorted(folder.glob("*.parquet"))}


@contextmanager
def postgres(programs: Path) -> Iterator[str]:
    """A PostgreSQL of one's own on 127.0.0.1; gives its address as SQLAlchemy has it."""
    # It does not run as root, but as the user that Debian's package makes.
    user = "postgres" if os.getuid() == 0 else None
    with tempfile.TemporaryDirectory() as folder:
        if user is not None:
            shutil.chown(folder, user)
        port = str(free_port())
        data = ["-D", f"{folder}/data"]
        initdb = [f"{programs}/initdb", *data, "-A", "trust", "-U", "postgres", "-E", "UTF8"]
        subprocess.run(initdb, cwd=folder, check=True, capture_output=True, user=user)
        serve = [f"{programs}/postgres", *data, "-k", folder, "-h", "127.0.0.1", "-p", port]
        server = subprocess.Popen(serve, cwd=folder, stderr=subprocess.DEVNULL, user=user)
        try:
            ready = [f"{programs}/pg_isready", "-h", "127.0.0.1", "-p", port]

            def answers() -> bool:
                return subprocess.run(ready, capture_output=True).returncode == 0

            wait_for("answer of PostgreSQL", answers, server)
            yield f"postgresql+asyncpg://postgres@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)  # its fast way to stop
            server.wait()


def test_the_server_dies_in_mid_run(own: Server, tmp_path: Path) -> None:
    """The run ends its work, says nothing more, and leaves files that the command line takes."""
    # Two units of work, the second of which begins without a server.
    many, output = write_many(tmp_path / "many", files=6, times=120), tmp_path / "scored"
    with own.running(
        [*SCORE_PROGRAM, str(many), "scored"],
        tmp_path,
        "the first file was scored",
        lambda: bool(_sums(output)),
    ) as process:
        own.process.kill()
        wait_for("the output was complete", (output / "_SUCCESS").exists, process)
    assert {"_DRIFT.json", "_MANIFEST.json"} <= {path.name for path in output.iterdir()}
    score = ["-m", "imdb_classifier", "score", str(many), "--registry", "none", "--json"]
    again, undisturbed = (own.run([*score, name], tmp_path) for name in ("scored", "undisturbed"))
    assert {file["status"] for file in json.loads(again.stdout)["files"]} == {"reused"}
    assert undisturbed.returncode == 0
    assert _sums(output) == _sums(tmp_path / "undisturbed")


def test_schedules_stay_on_when_the_server_is_restarted(tmp_path: Path) -> None:
    home = tmp_path / "prefect"
    home.mkdir()
    with prefect_server(home) as first:
        pool = ["work-pool", "create", "imdb-classifier", "--type", "process"]
        deploy = ["--no-prompt", "deploy", "--all", "--prefect-file", "deployments/prefect.yaml"]
        for command in (pool, deploy):
            assert first.run(["-m", "prefect", *command], first.checkout).returncode == 0
    with prefect_server(home) as second:
        for name in ("train-imdb/weekly", "score-parquet/nightly"):
            deployment = second.deployment(name)
            assert deployment["paused"] is False
            assert [schedule["active"] for schedule in deployment["schedules"]] == [True]


@pytest.mark.skipif(POSTGRES is None, reason="PostgreSQL is not installed")
def test_the_server_keeps_its_data_in_postgresql(tmp_path: Path) -> None:
    assert POSTGRES is not None
    many = write_many(tmp_path / "many", files=3, times=1)
    home = tmp_path / "prefect"
    home.mkdir()
    with postgres(POSTGRES) as address, prefect_server(home, {DATABASE: address}) as server:
        done = server.run([*SCORE_PROGRAM, str(many), "scored"], tmp_path)
        assert done.returncode == 0, done.stderr
        (run,) = server.filter("flow_runs")
        assert run["state_type"] == "COMPLETED"
        assert len(server.table(run["id"], "scored-files")) == 3
        assert len(server.events(run["id"], 2)) == 2
    assert not list(home.glob("*.db"))
