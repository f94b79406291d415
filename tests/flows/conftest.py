"""One real Prefect server for all flow tests, with a folder of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from uuid import UUID, uuid4

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prefect import Flow
from prefect.client.schemas.objects import State
from prefect.events.worker import EventsWorker
from prefect.flows import load_flow_from_entrypoint
from prefect.logging.handlers import APILogWorker
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_URL,
    PREFECT_HOME,
    temporary_settings,
)

from imdb_classifier.samples import FOLDER
from tests.servers import free_port
from tests.waiting import PATIENCE_SECONDS, wait_for

T = TypeVar("T")

HTTP = httpx.Client(
    verify=False, timeout=PATIENCE_SECONDS, limits=httpx.Limits(max_keepalive_connections=0)
)
"""Without TLS, whose certificates take longer to load than servers on this machine to answer; with
a new connection for each request, since a server may have been restarted."""

CHECKOUT = Path(__file__).parents[2]
SCORE_PROGRAM = [
    "-c",
    "import sys\n"
    "from imdb_classifier.flows.score import score_parquet\n"
    "score_parquet(*sys.argv[1:3], registry='none')",
]
"""Runs the flow; its arguments are input and output."""


def commands(guide: str, section: str | None = None) -> list[str]:
    """Every line of a guide's blocks of shell commands, without its comment.

    Args:
        guide: Name of the page.
        section: Heading of the only section to look at.
    """
    page = (CHECKOUT / "docs" / "guides" / guide).read_text("utf-8")
    if section is not None:
        page = page.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    lines = "".join(re.findall(r"```sh\n(.*?)```", page, re.DOTALL)).splitlines()
    return [re.sub(r"\s+# .*", "", line) for line in lines]


_SECONDS_TO_STOP = 60
"""Then it is killed, and no test fails."""


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Server:
    """The server's API, and what programs need to use it.

    Attributes:
        checkout: The root of the checkout.
        home: The folder of the server.
        api: Its address.
        environment: The environment of programs.
        process: The server.
        python: What runs the server, and programs.
    """

    checkout: ClassVar[Path] = CHECKOUT
    home: Path
    api: str
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes]
    python: str = sys.executable

    def flow_run(self, entrypoint: str, **parameters: Any) -> tuple[State[Any], UUID]:
        """Run a flow of the checkout in this process, loaded as Prefect's workers do it."""
        flow: Flow[..., State[Any]] = load_flow_from_entrypoint(str(CHECKOUT / entrypoint))
        state = flow(**parameters, return_state=True)
        assert state.state_details.flow_run_id is not None
        return state, state.state_details.flow_run_id

    def get(self, path: str) -> Any:
        return self._request("GET", path).json()

    def post(self, path: str, **content: Any) -> Any:
        return self._request("POST", path, json=content).json()

    def patch(self, path: str, **content: Any) -> None:
        self._request("PATCH", path, json=content)

    def heartbeat(self, run: str, flow: str) -> None:
        """Send what a run of a flow sends while it lives."""
        event = {
            "id": str(uuid4()),
            "occurred": datetime.now(UTC).isoformat(),
            "event": "prefect.flow-run.heartbeat",
            "resource": {"prefect.resource.id": f"prefect.flow-run.{run}"},
            "related": [
                {
                    "prefect.resource.id": f"prefect.flow.{flow}",
                    "prefect.resource.role": "flow",
                    "prefect.resource.name": flow,
                }
            ],
        }
        self._request("POST", "/events", json=[event])

    def _request(self, method: str, path: str, **content: Any) -> httpx.Response:
        """A call that is repeated while SQLite is locked, as Prefect's own client does."""

        def ask() -> httpx.Response | None:
            url = f"{self.api}{path}"
            response = HTTP.request(method, url, **content)
            return None if response.status_code == httpx.codes.SERVICE_UNAVAILABLE else response

        return self.wait_for(f"answer to {path}", ask).raise_for_status()

    def deployment(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/deployments/name/{name}")
        return found

    def is_deployed(self, name: str) -> bool:
        url = f"{self.api}/deployments/name/{name}"
        return HTTP.get(url).is_success

    def delete(self, kind: str, name: str | None = None) -> None:
        """Delete deployments or automations, all of them or those of a name."""
        for found in self.filter(kind):
            if name in (None, found["name"]):
                self._request("DELETE", f"/{kind}/{found['id']}")

    def wait_for(self, what: str, ask: Callable[[], T | None]) -> T:
        """Wait for an answer that the server brings about."""
        return wait_for(what, ask, self.process)

    def scored_on_schedule(self) -> bool:
        """Whether a run of the nightly deployment has completed that the scheduler itself made."""
        found = self.filter(
            "flow_runs",
            deployments={"name": {"any_": ["nightly"]}},
            flow_runs={"state": {"type": {"any_": ["COMPLETED"]}}},
        )
        return any(run["auto_scheduled"] for run in found)

    def has_ended(self, run: str) -> bool:
        state = self.get(f"/flow_runs/{run}")["state_type"]
        return state in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")

    def filter(self, kind: str, **query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.post(f"/{kind}/filter", **query)
        return found

    def newest_run(self) -> dict[str, Any]:
        """The flow run that began last, of those that have begun."""
        begun = {"start_time": {"is_null_": False}}
        (run,) = self.filter("flow_runs", flow_runs=begun, sort="START_TIME_DESC", limit=1)
        return run

    def artifacts(self, run: UUID | str) -> list[dict[str, Any]]:
        return self.filter("artifacts", artifacts={"flow_run_id": {"any_": [str(run)]}})

    def artifact(self, run: UUID | str, key: str) -> dict[str, Any]:
        """The artifact of a run whose key begins with `key`."""
        found, *others = [a for a in self.artifacts(run) if (a["key"] or "").startswith(key)]
        assert not others
        return found

    def table(self, run: UUID | str, key: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(self.artifact(run, key)["data"])
        return rows

    def events(self, run: UUID | str, count: int) -> list[dict[str, Any]]:
        """This project's events of a run, oldest first; Prefect sends them a little later."""
        query = {
            "event": {"prefix": ["imdb-classifier."]},
            "related": {"id": [f"prefect.flow-run.{run}"]},
            "order": "ASC",
        }

        def ask() -> list[dict[str, Any]] | None:
            found: list[dict[str, Any]] = self.post("/events/filter", filter=query)["events"]
            return found if len(found) >= count else None

        return self.wait_for(f"{count} events of {run}", ask)

    def logs(self, run: UUID | str) -> list[dict[str, Any]]:
        """The lines of a run that has ended; Prefect sends them a little later."""
        query: dict[str, Any] = {"logs": {"flow_run_id": {"any_": [str(run)]}}, "limit": 200}

        def ask() -> list[dict[str, Any]] | None:
            lines = self.filter("logs", **query)
            flow_lines = [line for line in lines if line["name"] == "prefect.flow_runs"]
            last = any(line["message"].startswith("Finished in state") for line in flow_lines)
            return lines if last else None

        return self.wait_for(f"last line of the log of {run}", ask)

    def run(self, arguments: list[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
        """Run a program of the virtual environment to its end."""
        return subprocess.run(
            [self.python, *arguments],
            cwd=folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )

    def prefect(self, folder: Path, *command: str) -> None:
        """Run a command of Prefect, which must succeed."""
        done = self.run(["-m", "prefect", *command], folder)
        assert done.returncode == 0, done.stdout + done.stderr

    @contextmanager
    def running(
        self, arguments: list[str], folder: Path, until: str, holds: Callable[[], bool]
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A program in the background, once a condition holds."""
        with (folder / "program.log").open("wb") as log:
            process = subprocess.Popen(
                [self.python, *arguments],
                cwd=folder,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that it can be killed with all that it began
            )
        try:
            wait_for(until, holds, process)
            yield process
        finally:
            stop(process)


@contextmanager
def prefect_server(
    home: Path,
    settings: Mapping[str, str] | None = None,
    port: int | None = None,
    python: str = sys.executable,
) -> Iterator[Server]:
    """A Prefect server of one's own on 127.0.0.1, stopped in the end if it still runs.

    Args:
        home: Its folder.
        settings: More environment variables, for it and for what talks to it.
        port: Its port; None for a free one.
        python: What runs it; another virtual environment has another Prefect.
    """
    port = port or free_port()
    api = f"http://127.0.0.1:{port}/api"
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "IMDB_CLASSIFIER_"))
    }
    environment = {
        **inherited,
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_UI_API_URL": api,
        # However busy the machine is.
        "PREFECT_API_REQUEST_TIMEOUT": str(PATIENCE_SECONDS),
        "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": str(PATIENCE_SECONDS),
        "PREFECT_SERVER_DATABASE_TIMEOUT": str(PATIENCE_SECONDS),
        # Sooner than Prefect's own, for tests wait for it.
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_RUNNER_POLL_FREQUENCY": "2",
        **(settings or {}),
    }
    command = ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [python, *command], env=environment, stdout=log, stderr=subprocess.STDOUT
        )

    def answers() -> bool:
        try:
            return HTTP.get(f"{api}/health").is_success
        except httpx.TransportError:
            return False

    try:
        wait_for("answer of the Prefect server", answers, process)
        yield Server(home, api, {**environment, "PREFECT_API_URL": api}, process, python)
    finally:
        stop(process)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with (
        prefect_server(tmp_path_factory.mktemp("prefect")) as server,
        temporary_settings(
            {
                PREFECT_HOME: server.home,
                PREFECT_API_URL: server.api,
                PREFECT_API_REQUEST_TIMEOUT: PATIENCE_SECONDS,
            }
        ),
    ):
        yield server
        # What is still to be sent would be tried for a minute once the server is gone.
        APILogWorker.drain_all()
        EventsWorker.drain_all()


def write_reviews(path: Path, texts: Sequence[str | None], **columns: list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"text": pa.array(texts, pa.string()), **columns}), path)


def write_many(folder: Path, files: int, times: int) -> Path:
    """A folder of files of how the sample's texts begin, each beginning some times over."""
    reviews = pq.read_table(FOLDER / "train-00000-of-00001.parquet")["text"].to_pylist()
    texts = [" ".join(text.split()[:12]) for text in reviews]
    for number in range(files):
        rows = [f"{number} {text}" for text in texts * times]
        write_reviews(folder / f"{number:02}.parquet", rows)
    return folder


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """Two readable files under Hive keys, and one that is none."""
    folder = tmp_path / "reviews"
    write_reviews(
        folder / "day=2026-11-01" / "a.parquet",
        ["A warm and funny film, I loved it.", None, "Dull, loud and badly cut."],
        id=[1, 2, 3],
    )
    write_reviews(folder / "day=2026-11-02" / "a.parquet", ["Wonderful!", "  "], id=[4, 5])
    (folder / "day=2026-11-02" / "b.parquet").write_bytes(b"no Parquet file")
    return folder


@pytest.fixture
def score(server: Any, tmp_path: Path) -> Callable[..., Any]:
    """Runs the flow with the model that comes with the package."""
    return lambda **parameters: server.flow_run(
        "flows/score.py:score_parquet", registry=str(tmp_path / "registry"), **parameters
    )
