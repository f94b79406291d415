"""Commands that run flows."""

from __future__ import annotations

import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.command_line import Run
from tests.servers import free_port


@pytest.fixture
def run_flow(server: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run`, with the server of these tests."""
    monkeypatch.setenv("PREFECT_API_URL", server.api)
    # The command would leave it behind in this process.
    monkeypatch.setenv("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    return run


@pytest.mark.covers("score --runner")
def test_another_runner_is_the_flow(
    server: Any, run_flow: Run, reviews: Path, tmp_path: Path
) -> None:
    output = tmp_path / "scored"
    command = ("score", reviews / "day=2026-11-01", output, "--runner", "process")
    assert run_flow(*command).code == 0
    run = server.newest_run()
    assert run["parameters"]["output"] == str(output)
    assert run["parameters"]["runner"] == "process"


@pytest.mark.parametrize("said", ["Connection refused", "401 Unauthorized"])
def test_a_server_that_is_down_or_asks_for_a_password_is_named(
    reviews: Path, run: Run, tmp_path: Path, said: str
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Unauthorized) as http:
        thread = Thread(target=http.serve_forever)
        thread.start()
        try:
            port = free_port() if said == "Connection refused" else http.server_port
            address = f"http://127.0.0.1:{port}/api"
            with temporary_settings({PREFECT_API_URL: address}):
                outcome = run("score", reviews, tmp_path / "scored", "--runner", "process")
        finally:
            http.shutdown()
            thread.join()
    assert outcome.code == 69
    shown = " ".join(outcome.err.split())
    assert address in shown
    assert said in shown
    assert ("Check PREFECT_API_AUTH_STRING" in shown) == (said == "401 Unauthorized")
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "scored").exists()


def test_a_home_that_cannot_be_written_is_named_if_a_flow_needs_it(
    reviews: Path, tmp_path: Path
) -> None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")
    }
    environment["HOME"] = "/dev/null/home"

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "imdb_classifier", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )

    ran = run("score", str(reviews), "scored", "--runner", "process")
    assert ran.returncode == 73
    assert ran.stderr.startswith("Error: Without a server, Prefect must be able to write to its")
    assert "Writing to /dev/null/home/.prefect failed: Not a directory." in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert not (tmp_path / "scored").exists()
    assert run("doctor", "--json").stderr == ""


class _Unauthorized(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(401)

    def do_POST(self) -> None:
        self.send_error(401)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.covers("score --scheduler")
def test_a_scheduler_needs_dask(run_flow: Run, reviews: Path, tmp_path: Path) -> None:
    options = ("--runner", "process", "--scheduler", "tcp://[::1]:1")
    outcome = run_flow("score", reviews, tmp_path / "scored", *options)
    assert outcome.code == 78
    assert "Set --runner dask, or leave out --scheduler" in outcome.err


@pytest.mark.covers("quickstart --folder")
def test_the_first_run_goes_into_a_folder(
    run_flow: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run_flow("quickstart", "--folder", tmp_path / "mine")
    assert outcome.code == 0
    assert f"Scored files: {tmp_path}/mine/scored" in outcome.out
    assert (tmp_path / "mine" / "scored" / "sample" / "_SUCCESS").exists()
