"""deployments/README.md, followed from its first command to its last, on a server of its own."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from imdb_classifier.registry.versions import CHAMPION, Registry
from imdb_classifier.samples import FOLDER
from tests.flows.conftest import CHECKOUT, free_port, stop
from tests.waiting import PATIENCE_SECONDS, wait_for

REFUSED = 3
DEPLOYMENTS = 4
SET_UP = ("python3 -m venv", ".venv/bin/pip install", ". .venv/bin/activate")
"""Done by `make test`, in the same words but for ``--editable``."""


def commands() -> list[str]:
    """Every line of the page's blocks of shell commands, without its comment."""
    page = (CHECKOUT / "deployments" / "README.md").read_text("utf-8")
    lines = "".join(re.findall(r"```sh\n(.*?)```", page, re.DOTALL)).splitlines()
    return [re.sub(r"\s+# .*", "", line) for line in lines]


class Terminals:
    """Those of somebody with a checkout, reviews, and nothing else.

    Args:
        folder: Of the checkout.
        places: What they have in the place of the page's paths and ports.
        stack: Stops what goes on until it is stopped.
    """

    def __init__(self, folder: Path, places: dict[str, str], stack: ExitStack) -> None:
        self.folder = folder
        self.api = f"http://127.0.0.1:{places['4200']}/api"
        self._places = places
        self._stack = stack
        kept = ("PREFECT_", "IMDB_CLASSIFIER_")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(kept)},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_SERVER_API_PORT": places["4200"],
            "PREFECT_API_REQUEST_TIMEOUT": str(PATIENCE_SECONDS),
            "PREFECT_WORKER_QUERY_SECONDS": "2",
        }
        self.going_on: dict[str, subprocess.Popen[bytes]] = {}

    def type(self, command: str) -> tuple[int, str]:
        """Run a command of the page; gives its exit code and what it said."""
        for place, own in self._places.items():
            command = command.replace(place, own)
        if command.startswith("export "):
            self.environment |= dict(part.split("=", 1) for part in shlex.split(command)[1:])
            return 0, ""
        begin = " ".join(command.split()[:2])
        if is_ready := self._signs().get(begin):
            log = self._stack.enter_context((self.folder / "going_on.log").open("ab"))
            process = subprocess.Popen(
                shlex.split(command),
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            self._stack.callback(stop, process)
            self.going_on[begin] = process
            wait_for(f"{begin} was ready", is_ready, process)
            return 0, ""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        return done.returncode, done.stdout

    def ask(self, path: str, **query: Any) -> Any:
        """What the server answers; None if it does not, or knows no such thing."""
        try:
            response = (
                httpx.post(f"{self.api}{path}", json=query, timeout=PATIENCE_SECONDS)
                if path.endswith("/filter")
                else httpx.get(f"{self.api}{path}", timeout=PATIENCE_SECONDS)
            )
        except httpx.TransportError:
            return None
        return response.json() if response.is_success else None

    def _signs(self) -> dict[str, Callable[[], bool]]:
        """By what goes on until it is stopped: whether it is ready."""

        def has_said(words: str) -> bool:
            return words in (self.folder / "going_on.log").read_text("utf-8")

        return {
            "prefect server": lambda: bool(self.ask("/health")),
            "imdb-classifier serve": lambda: len(self.ask("/deployments/filter")) == DEPLOYMENTS,
            "prefect worker": lambda: bool(self.ask("/work_pools/imdb-classifier/workers/filter")),
            "dask scheduler": lambda: has_said("Scheduler at:"),
            "dask worker": lambda: has_said("Register worker addr:"),
        }


@pytest.fixture
def terminals(reviews: Path, tmp_path: Path) -> Iterator[Terminals]:
    folder = tmp_path / "checkout"
    shutil.copytree(CHECKOUT / "deployments", folder / "deployments")
    # Beside what is to be filled in, a recipe that takes seconds.
    deployments = folder / "deployments" / "prefect.yaml"
    text = deployments.read_text("utf-8")
    source, output = str(reviews / "day=2026-11-01"), str(tmp_path / "scored")
    for old, new in (
        ("source: /path/to/reviews # SET THIS", f"source: {source} # "),
        ("output: /path/to/scored # SET THIS", f"output: {output} # "),
        ("recipe: production", "recipe: tiny"),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    deployments.write_text(text, "utf-8")
    places = {
        "https://hooks.example.com": "http://127.0.0.1:9",
        "/path/to/reviews": source,
        "/path/to/scored": output,
        "/path/to/imdb": str(FOLDER),
        "/path/to/registry": str(tmp_path / "registry"),
        "4200": str(free_port()),
        "8786": str(free_port()),
        "8787": "0",
    }
    with ExitStack() as stack:
        yield Terminals(folder, places, stack)


def test_the_page_can_be_followed(terminals: Terminals, tmp_path: Path) -> None:
    registry = Registry.at(tmp_path / "registry")
    bundled = registry.load(CHAMPION).model_id
    for command in commands():
        if command.startswith(SET_UP):
            continue
        if command == "imdb-classifier undeploy":
            # The page has it that what registered them is stopped before.
            stop(terminals.going_on["imdb-classifier serve"])
        if command.endswith("--to previous"):
            registry.promote("@challenger")
        code, said = terminals.type(command)
        assert code == (REFUSED if command.endswith("promote @challenger") else 0), said

        if command.startswith("imdb-classifier serve"):
            for name in ("train-imdb/weekly", "score-parquet/nightly"):
                assert terminals.ask(f"/deployments/name/{name}")["schedules"]
        elif command.startswith("prefect work-pool"):
            assert terminals.ask("/deployments/filter") == []
            assert terminals.ask("/automations/filter") == []
        elif "deployment run" in command:
            # The recipe `tiny` loses to the bundled model.
            state = "NotPromoted" if "train-imdb" in command else "Completed"
            assert said.rstrip().endswith(f"Flow run finished successfully in '{state}'."), said
        elif "--to previous" in command:
            assert registry.load(CHAMPION).model_id == bundled
    keys = {found["key"] for found in terminals.ask("/artifacts/latest/filter")}
    of_models = {key for key in keys if key.startswith("imdb-")}
    assert of_models == {
        f"imdb-{what}-{deployment}"
        for what in ("evaluation", "promotion")
        for deployment in ("weekly", "on-demand")
    }
    # The rollback in the UI's words came after that of the command, and undid it.
    assert registry.load(CHAMPION).model_id != bundled
    assert pq.read_table(tmp_path / "scored")["sentiment_label"].to_pylist() == [
        "positive",
        None,
        "negative",
    ]
