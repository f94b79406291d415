"""The guides for Prefect, followed from the first command to the last on machines of their own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from imdb_classifier.registry.access import CHAMPION
from imdb_classifier.registry.versions import Registry
from imdb_classifier.samples import FOLDER
from tests.empty_machine import WITHOUT_INDEX, build_wheel, link_requirements
from tests.flows.conftest import HTTP, commands, stop, write_reviews
from tests.flows.test_outages import POSTGRES, postgres
from tests.servers import free_port
from tests.waiting import PATIENCE_SECONDS, wait_for

REFUSED = 3
NIGHTLY = "score-parquet/nightly"


class Machine:
    """That of somebody who has Python, the wheel, and nothing else, and types into terminals.

    Args:
        folder: Stands for the machine.
        wheel: What pip finds.
        places: What there is in the place of the guides' paths, hosts and ports.
        stack: Stops what goes on until it is stopped.
    """

    def __init__(self, folder: Path, wheel: Path, places: dict[str, str], stack: ExitStack) -> None:
        self.folder = folder
        self.places = {**places, "4200": str(free_port())}
        self.going_on: list[subprocess.Popen[bytes]] = []
        self._api = f"http://127.0.0.1:{self.places['4200']}/api"
        self._stack = stack
        self._started = 0
        (folder / "home").mkdir(parents=True)
        venv = folder / "venv"
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        foreign = ("IMDB_CLASSIFIER_", "PIP_", "PREFECT_", "PYTHON")
        self.variables = {
            **{name: value for name, value in os.environ.items() if not name.startswith(foreign)},
            **WITHOUT_INDEX,
            "PIP_FIND_LINKS": str(wheel.parent),
            "HOME": str(folder / "home"),
            "PATH": os.pathsep.join([str(venv / "bin"), os.environ["PATH"], str(POSTGRES)]),
            "PREFECT_SERVER_API_PORT": self.places["4200"],
            # However busy the machine is.
            "PREFECT_API_REQUEST_TIMEOUT": str(PATIENCE_SECONDS),
            "PREFECT_SERVER_DATABASE_TIMEOUT": str(PATIENCE_SECONDS),
            "PREFECT_RUNNER_POLL_FREQUENCY": "2",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
        }

    def has(self, extra: str) -> None:
        """Put there what an extra needs, so that pip need not install it."""
        found = link_requirements(self.folder / extra, f"imdb-classifier[{extra}]")
        venv, _, others = self.variables["PATH"].partition(os.pathsep)
        programs = found["PATH"].partition(os.pathsep)[0]
        self.variables["PATH"] = os.pathsep.join([venv, programs, others])
        self.variables["PYTHONPATH"] = found["PYTHONPATH"]

    def type(self, command: str) -> str:
        """Run a command of a guide, which must do what the guide says; returns what it said."""
        for place, own in self.places.items():
            command = command.replace(place, own)
        if command.startswith("export "):
            self.variables |= dict(part.split("=", 1) for part in shlex.split(command)[1:])
            return ""
        for begin, is_ready in self._signs().items():
            if begin in command:
                self._started += 1
                return self._start(command, is_ready)
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        expected = REFUSED if command.endswith("promote @challenger") else 0
        assert done.returncode == expected, f"{command}\n{done.stdout}"
        if command.startswith("prefect deployment run"):
            # The recipe `tiny` loses to the bundled model.
            state = "NotPromoted" if "train-imdb" in command else "Completed"
            assert f"Flow run finished successfully in '{state}'." in done.stdout, done.stdout
        return done.stdout

    def stop(self, rest: int = 0) -> None:
        """Stop what goes on, the latest first, until so many programs are left."""
        while len(self.going_on) > rest:
            stop(self.going_on.pop())

    def ask(self, path: str, **query: Any) -> Any:
        """What the server answers; None if it does not, or knows no such thing."""
        user, _, password = self.variables.get("PREFECT_SERVER_API_AUTH_STRING", ":").partition(":")
        method = "POST" if path.endswith("/filter") else "GET"
        try:
            response = HTTP.request(method, f"{self._api}{path}", json=query, auth=(user, password))
        except httpx.TransportError:
            return None
        return response.json() if response.is_success else None

    def scored_on_schedule(self) -> bool:
        """Whether a run has completed that the scheduler itself made."""
        completed = {"state": {"type": {"any_": ["COMPLETED"]}}}
        runs = self.ask("/flow_runs/filter", flow_runs=completed) or []
        return any(run["auto_scheduled"] for run in runs)

    def model_artifacts(self) -> set[str]:
        keys = {artifact["key"] for artifact in self.ask("/artifacts/latest/filter")}
        return {key for key in keys if key.startswith("imdb-")}

    def is_idle(self) -> bool:
        active = {"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}}
        return bool(self.ask("/flow_runs/filter", flow_runs=active) == [])

    def _start(self, command: str, is_ready: Callable[[], bool]) -> str:
        with self._log().open("wb") as log:
            process = subprocess.Popen(
                ["bash", "-c", f"exec env {command}"],
                cwd=self.folder,
                env=self.variables,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._stack.callback(stop, process)
        self.going_on.append(process)
        wait_for(f"sign of {command}", is_ready, process)
        return ""

    def _log(self) -> Path:
        """What the latest program that goes on has said."""
        return self.folder / f"program-{self._started}.log"

    def _signs(self) -> dict[str, Callable[[], bool]]:
        """By what goes on until it is stopped: whether it is ready."""

        def has_said(words: str) -> bool:
            return words in self._log().read_text("utf-8")

        return {
            "prefect server start": lambda: self.ask("/health") is True,
            "imdb-classifier serve": lambda: has_said("are being served"),
            "prefect worker start": lambda: has_said("started!"),
            "dask scheduler": lambda: has_said("Scheduler at:"),
            "dask worker": lambda: has_said("Registered to:"),
        }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def places(reviews: Path, tmp_path: Path) -> dict[str, str]:
    return {
        "/path/to/reviews": str(reviews / "day=2026-11-01"),
        "/path/to/scored": str(tmp_path / "scored"),
        "/path/to/imdb": str(FOLDER),
        "/path/to/registry": str(tmp_path / "registry"),
        "https://hooks.example.com": f"http://127.0.0.1:{free_port()}",
        "//SERVER:": "//127.0.0.1:",
        "0.0.0.0": "127.0.0.1",
        "8786": str(free_port()),
        "8787": "0",
        "recipe=seed": "recipe=tiny",
    }


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def check_scored(folder: Path) -> None:
    scored = pq.read_table(folder / "a.parquet")
    assert scored["sentiment_label"].to_pylist() == ["positive", None, "negative"]


def test_five_commands_and_then_training_and_a_cluster(
    wheel: Path, places: dict[str, str], stack: ExitStack, tmp_path: Path
) -> None:
    machine = Machine(tmp_path / "machine", wheel, places, stack)
    machine.has("flows")
    five = commands("schedule.md", "Five commands")
    assert len(five) == 5
    for command in five:
        machine.type(command)
    check_scored(tmp_path / "scored")
    (schedule,) = machine.ask(f"/deployments/name/{NIGHTLY}")["schedules"]
    assert schedule["schedule"]["cron"] == "0 4 * * *"

    # The schedule that `serve` made, but in seconds; a file that only a scheduled run has seen.
    write_reviews(Path(places["/path/to/reviews"]) / "b.parquet", ["Wonderful!"])
    reschedule = f"prefect deployment schedule create {NIGHTLY} --replace --accept-yes"
    machine.type(f"{reschedule} --interval 5")
    wait_for("end of a scheduled run", machine.scored_on_schedule, machine.going_on[-1])
    scored = pq.read_table(tmp_path / "scored" / "b.parquet")
    assert scored["sentiment_label"].to_pylist() == ["positive"]
    machine.type(f"{reschedule} --cron '0 4 * * *'")
    wait_for("end of all runs", machine.is_idle, machine.going_on[-1])

    for command in [*commands("schedule.md")[5:], *commands("cluster.md")]:
        if command.startswith("pip install"):
            # As the guide says: only the server goes on.
            machine.stop(1)
            machine.has("all")
        machine.type(command)
    assert machine.ask("/deployments/name/train-imdb/weekly")["schedules"]
    assert machine.model_artifacts() == {
        "imdb-evaluation-on-demand",
        "imdb-evaluation-weekly",
        "imdb-promotion-weekly",
    }


def test_the_schedule_is_operated(
    wheel: Path, places: dict[str, str], stack: ExitStack, tmp_path: Path
) -> None:
    to_be_typed = commands("operate.md")
    if POSTGRES is None:
        of_postgresql = ("createdb", "pg_dump", "export PREFECT_SERVER_DATABASE")
        to_be_typed = [line for line in to_be_typed if not line.startswith(of_postgresql)]
    else:
        address = stack.enter_context(postgres(POSTGRES))
        places["5432"] = address.rpartition(":")[2].partition("/")[0]
    machine = Machine(tmp_path / "machine", wheel, places, stack)
    machine.has("all")
    machine.type("pip install 'imdb-classifier[all]'")
    registry = Registry.at(tmp_path / "registry")
    bundled = registry.load(CHAMPION).model_id
    home, upgraded = machine.variables["HOME"], False
    for command in to_be_typed:
        if command.startswith("prefect config set"):
            of_the_server = command
        elif "--name second" in command:
            # The first worker stops, and the second has a home of its own.
            machine.stop(1)
            machine.variables["HOME"] = str(tmp_path / "second")
            machine.type(of_the_server)
            machine.type(command)
            machine.variables["HOME"] = home
            continue
        elif command.startswith(("pg_dump", "pip install --upgrade")):
            machine.stop()
        elif command.endswith("--to previous"):
            registry.promote("@challenger")
        machine.type(command)
        if command.startswith("cp -r"):
            fill_in(machine.folder / "deployments" / "prefect.yaml", places)
        elif command.startswith("prefect deployment run score"):
            check_scored(tmp_path / "scored")
        elif command.endswith("--to previous"):
            assert registry.load(CHAMPION).model_id == bundled
        elif command.startswith("prefect server database upgrade"):
            upgraded = True
        elif command.startswith("prefect server start") and upgraded:
            assert machine.ask(f"/deployments/name/{NIGHTLY}")["schedules"]
    # The rollback in the UI's words came after that of the command, and undid it.
    assert registry.load(CHAMPION).model_id != bundled
    assert machine.ask("/deployments/filter") == []
    assert machine.ask("/automations/filter") == []
    assert machine.model_artifacts() == {
        "imdb-evaluation-weekly",
        "imdb-promotion-on-demand",
        "imdb-promotion-weekly",
    }


def fill_in(deployments: Path, places: dict[str, str]) -> None:
    """Fill in what is to be set, and a recipe that takes seconds."""
    text = deployments.read_text("utf-8")
    for old, new in (
        ("source: /path/to/reviews # SET THIS", f"source: {places['/path/to/reviews']} # "),
        ("output: /path/to/scored # SET THIS", f"output: {places['/path/to/scored']} # "),
        ("recipe: production", "recipe: tiny"),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    deployments.write_text(text, "utf-8")
