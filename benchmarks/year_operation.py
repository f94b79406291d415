"""The operation of a year: a Prefect server, a worker, and the deployments that they run."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import yaml

from tests.flows.conftest import CHECKOUT, Server, prefect_server
from tests.servers import free_port
from tests.waiting import wait_for

TRAINING: Final = "train-imdb/weekly"
SCORING: Final = "score-parquet/nightly"
PROMOTION: Final = "promote-model/on-demand"
GATES: Final = MappingProxyType({"behavior_lost": 1.0})
"""Models of invented words can do less of what the bundled model can in English, and differ."""
_POOL: Final = "imdb-classifier"
_DIED: Final = "imdb-classifier runs that died"
_SECONDS_WITHOUT_HEARTBEAT: Final = 30
"""Instead of ten minutes; only for the run that is killed."""


@contextmanager
def operating(folder: Path, keep: int) -> Iterator[Operation]:
    """Run the deployments of ``prefect.yaml`` with a server and a worker until the block ends.

    Schedules are left out: runs are started one by one.

    Args:
        folder: An empty folder. It gets data, labeled, reviews, scored, registry and prefect.
        keep: How many of the newest versions training keeps.
    """
    operation = Operation(folder, keep)
    try:
        operation.begin()
        yield operation
    finally:
        operation.end()


class Operation:
    """A server and a worker that run deployments, see `operating`."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep
        self._settings = {
            "IMDB_CLASSIFIER_DATA": str(folder / "data"),
            "IMDB_CLASSIFIER_REGISTRY": str(folder / "registry"),
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
        }
        self._port = free_port()
        self._running = ExitStack()
        self._working = ExitStack()
        self.server: Server

    def begin(self) -> None:
        """Start the server, deploy, and start a worker."""
        (self.folder / "prefect").mkdir()
        self._start_server()
        self.server.prefect(self.folder, "work-pool", "create", _POOL, "--type", "process")
        configured = yaml.safe_dump(self._deployments())
        (self.folder / "prefect.yaml").write_text(configured, "utf-8")
        self.server.prefect(self.folder, "--no-prompt", "deploy", "--all")
        self._watch()
        self._start_worker()

    def end(self) -> None:
        """Stop worker and server."""
        self._working.close()
        self._running.close()

    def _deployments(self) -> dict[str, Any]:
        configured = _shipped("prefect.yaml")
        parameters = {
            "weekly": {
                "recipe": "tiny",
                "extra_train": [str(self.folder / "labeled")],
                "keep": self.keep,
                "gates": dict(GATES),
            },
            "nightly": {
                "source": str(self.folder / "reviews"),
                "output": str(self.folder / "scored"),
            },
        }
        for deployment in configured["deployments"]:
            deployment["parameters"] |= parameters.get(deployment["name"], {})
            deployment.pop("schedules", None)
        return configured

    def _watch(self, within: int | None = None) -> None:
        """Have runs that died marked as crashed, after other seconds than usual if they are given.

        Raises:
            StopIteration: The automation has another name now.
        """
        automations = _shipped("automations.yaml")["automations"]
        automation = next(found for found in automations if found["name"] == _DIED)
        if within is not None:
            automation["trigger"]["within"] = within
        self.server.delete("automations", _DIED)
        self.server.post("/automations/", **automation)

    def _start_server(self) -> None:
        self.server = self._running.enter_context(
            prefect_server(self.folder / "prefect", self._settings, self._port)
        )

    def _start_worker(self) -> None:
        """Start a worker, and wait until the server knows it."""
        names = self._workers()
        worker = ["-m", "prefect", "worker", "start", "--pool", _POOL]
        worker += ["--name", f"worker-{len(names) + 1}"]
        self._worker = self._working.enter_context(
            self.server.running(
                worker, self.folder, "the worker was there", lambda: self._workers() != names
            )
        )

    def _workers(self) -> list[str]:
        return [found["name"] for found in self.server.filter(f"work_pools/{_POOL}/workers")]

    def run(self, deployment: str, **parameters: Any) -> dict[str, Any]:
        """Run a deployment to its end, and return the run."""
        return self.ended(self.start(deployment, **parameters))

    def kill_in_mid_run(self, deployment: str) -> dict[str, Any]:
        """Run a deployment that scores, and kill the worker that started the run.

        Returns:
            The run, once it has ended: Prefect 3.9 ends it as crashed when its worker is gone; if
            not, the automation does. By then, another worker has started.
        """
        # Only as long as no other run could miss a heartbeat.
        self._watch(_SECONDS_WITHOUT_HEARTBEAT)
        run = self._start_and_wait_until_scoring(deployment)
        os.killpg(self._worker.pid, signal.SIGKILL)
        self._working.close()
        ended = self.ended(run)
        self._watch()
        self._start_worker()
        return ended

    def restart_in_mid_run(self, deployment: str) -> dict[str, Any]:
        """Run a deployment that scores, and restart the server meanwhile; returns the run."""
        run = self._start_and_wait_until_scoring(deployment)
        self._running.close()
        self._start_server()
        return self.ended(run)

    def runs_after_promotions(self, count: int) -> list[dict[str, Any]]:
        """Wait for the end of the runs that as many promotions started; the last one comes last."""

        def started() -> list[dict[str, Any]] | None:
            found = self.server.filter(
                "flow_runs",
                deployments={"name": {"any_": ["nightly"]}},
                sort="EXPECTED_START_TIME_ASC",
            )
            stale = [run for run in found if run["parameters"]["only"] == "stale"]
            return stale if len(stale) >= count else None

        runs = self.server.wait_for(f"{count} runs after promotions", started)
        return [self.ended(run["id"]) for run in runs]

    def start(self, deployment: str, **parameters: Any) -> str:
        """Start a run of a deployment, and return its id."""
        path = f"/deployments/{self.server.deployment(deployment)['id']}/create_flow_run"
        run: str = self.server.post(path, parameters=parameters)["id"]
        return run

    def _start_and_wait_until_scoring(self, deployment: str) -> str:
        """Start a run, wait until it has scored a file, and return its id."""

        def scored() -> int:
            return len(list((self.folder / "scored").glob("*.parquet")))

        before = scored()
        run = self.start(deployment)
        wait_for("first file of the night", lambda: scored() > before)
        return run

    def ended(self, run: str) -> dict[str, Any]:
        """Wait for the end of a run, and return the run."""
        self.server.wait_for(f"end of {run}", lambda: self.server.has_ended(run))
        found: dict[str, Any] = self.server.get(f"/flow_runs/{run}")
        return found


def _shipped(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((CHECKOUT / "deployments" / name).read_text("utf-8"))
    return content
