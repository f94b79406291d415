"""Units of work in other processes: a pool of them, and a real Dask cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from imdb_classifier.storage.files import sha256_of
from tests.flows.conftest import write_many
from tests.waiting import PATIENCE_SECONDS, wait_for

SCORE = "flows/score.py:score_parquet"
SCORE_MANY = ["-m", "imdb_classifier", "score", "--registry", "none", "--json"]


@dataclass
class Cluster:
    """A scheduler and its workers, each a process of its own."""

    address: str
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)


@pytest.fixture(scope="module")
def cluster(server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Dask scheduler with two workers of one thread each; the test that kills one comes last."""
    folder = tmp_path_factory.mktemp("dask")
    file = folder / "scheduler.json"
    local = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]
    commands = [["scheduler", "--port", "0", "--scheduler-file", str(file), *local]]
    for number in range(2):
        options = ["--nthreads", "1", "--no-nanny", "--scheduler-file", str(file)]
        options += ["--local-directory", str(folder / f"worker-{number}")]
        commands.append(["worker", *options, *local])
    with ExitStack() as stack, (folder / "dask.log").open("wb") as log:
        processes = []
        for command in commands:
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "dask", *command],
                    env=dict(server.environment),
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )
            stack.callback(_end, processes[-1])
            server.wait_for("scheduler of Dask", file.exists)
        yield Cluster(json.loads(file.read_text())["address"], processes[1:])


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough for several units of work."""
    return write_many(tmp_path_factory.mktemp("many"), files=6, times=112)


@pytest.fixture(scope="module")
def scored(
    server: Any, many: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The outputs of a local run, and what it said."""
    folder = tmp_path_factory.mktemp("scored")
    return folder / "local", server.run([*SCORE_MANY, str(many), "local"], folder)


def _sums(folder: Path) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in sorted(folder.iterdir())}


def test_every_runner_gives_the_same_bytes(
    server: Any,
    cluster: Cluster,
    many: Path,
    scored: tuple[Path, subprocess.CompletedProcess[str]],
    tmp_path: Path,
) -> None:
    runners = {
        "process": ["--runner", "process", "--deadline", "1h"],
        "dask": ["--runner", "dask", "--scheduler", cluster.address],
    }
    folder, local = scored
    assert local.returncode == 0, local.stderr
    for name, more in runners.items():
        done = server.run([*SCORE_MANY, str(many), name, *more], tmp_path)
        assert done.returncode == 0, done.stderr
        assert (_without_outputs(done.stdout), done.stderr) == (
            _without_outputs(local.stdout),
            local.stderr,
        )
        run = server.newest_run()
        assert len(server.table(run["id"], "scored-files")) == 6
        messages = [line["message"] for line in server.logs(run["id"])]
        told = [message for message in messages if message.startswith("unit ")]
        assert told[0] == "unit 1: 59,808 rows in 3 files: 3 scored"
        (progress,) = [a for a in server.artifacts(run["id"]) if a["type"] == "progress"]
        assert float(progress["data"]) == 100.0
        assert progress["description"].startswith("119,616 of 119,616 rows")
    sums = _sums(folder)
    assert len(sums) == 6 + 3
    assert _sums(tmp_path / "process") == sums
    assert _sums(tmp_path / "dask") == sums


def _without_outputs(shown: str) -> Any:
    """What a command printed with ``--json``, but for where the files are."""
    result = json.loads(shown)
    for file in result["files"]:
        del file["output"]
    return result


def test_errors_are_those_of_a_local_run(server: Any, reviews: Path, tmp_path: Path) -> None:
    score = SCORE_MANY[:-1]
    for source, code in (("reviews", 75), ("reviews/day=2026-11-02/b.parquet", 65), ("none", 66)):
        local, process = (
            server.run([*score, source, runner, *more], tmp_path)
            for runner, *more in (["local", "--json"], ["process", "--json", "--runner", "process"])
        )
        assert (process.returncode, process.stderr) == (code, local.stderr)
        assert "error" in process.stdout
        if code == 75:
            assert _without_outputs(process.stdout) == _without_outputs(local.stdout)
        else:
            assert process.stdout == local.stdout


def test_a_worker_that_is_killed_costs_nothing_but_time(
    server: Any,
    cluster: Cluster,
    many: Path,
    scored: tuple[Path, subprocess.CompletedProcess[str]],
    tmp_path: Path,
) -> None:
    output = tmp_path / "scored"

    def kill() -> None:
        server.wait_for("file of the killed worker", lambda: any(output.glob("*.parquet")))
        os.kill(cluster.workers[0].pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    parameters = {"source": str(many), "output": str(output), "registry": "none"}
    state, run = server.flow_run(SCORE, runner="dask", scheduler=cluster.address, **parameters)
    killer.join()
    assert state.is_completed()
    assert {row["status"] for row in server.table(run, "scored-files")} <= {"scored", "reused"}
    assert cluster.workers[0].wait() == -signal.SIGKILL
    assert _sums(output) == _sums(scored[0])


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough for some seconds of work."""
    return write_many(tmp_path_factory.mktemp("more"), files=8, times=140)


@pytest.fixture(scope="module")
def undisturbed(
    server: Any, more: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The sums of what a local run made of them."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert server.run([*SCORE_MANY, str(more), "scored"], folder).returncode == 0
    return _sums(folder / "scored")


# Ctrl-C in a terminal sends SIGINT to every process of the command.
@pytest.mark.parametrize(
    ("runner", "stop", "code"),
    [
        ("process", lambda process: os.kill(process.pid, signal.SIGTERM), 143),
        ("process", lambda process: os.kill(process.pid, signal.SIGINT), 130),
        ("process", lambda process: os.killpg(process.pid, signal.SIGINT), 130),
        ("dask", lambda process: os.killpg(process.pid, signal.SIGINT), 130),
    ],
    ids=["SIGTERM", "SIGINT", "Ctrl-C", "Ctrl-C with Dask"],
)
def test_a_stopped_run_ends_all_its_processes_and_can_resume(
    server: Any,
    more: Path,
    undisturbed: dict[str, str],
    tmp_path: Path,
    runner: str,
    stop: Callable[[subprocess.Popen[bytes]], None],
    code: int,
) -> None:
    score, output = [*SCORE_MANY, str(more), "scored"], tmp_path / "scored"
    # Without a server of its own, the command starts a temporary one, which must end as well.
    environment = {**server.environment, "PREFECT_HOME": str(tmp_path / "prefect")}
    del environment["PREFECT_API_URL"]
    with replace(server, environment=environment).running(
        [*score, "--runner", runner],
        tmp_path,
        "the first file was scored",
        lambda: any(output.glob("*.parquet")),
    ) as process:
        children = psutil.Process(process.pid).children(recursive=True)
        try:
            started = " ".join(
                part for child in filter(_is_alive, children) for part in child.cmdline()
            )
            assert started.count("uvicorn") == 1
            assert "multiprocessing.spawn" in started
            stop(process)
            assert process.wait(PATIENCE_SECONDS) == code
            wait_for("the end of its processes", lambda: not any(map(_is_alive, children)))
        finally:
            for child in filter(_is_alive, children):
                child.kill()
    shown = (tmp_path / "program.log").read_text().splitlines()
    # Dask's workers may still log that a task was canceled.
    said = [line for line in shown if " - distributed.worker" not in line]
    assert said == ["Interrupted. Finished files are kept; rerun to continue."]
    assert not (output / "_SUCCESS").exists()
    again = server.run(score, tmp_path)
    assert again.returncode == 0, again.stderr
    assert {file["status"] for file in json.loads(again.stdout)["files"]} == {"scored", "reused"}
    assert _sums(output) == undisturbed


def _is_alive(process: psutil.Process) -> bool:
    try:
        # A zombie has ended, and only waits for its parent to notice.
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.covers("score-parquet:scheduler")
def test_a_scheduler_belongs_to_dask(server: Any, reviews: Path, tmp_path: Path) -> None:
    output = tmp_path / "scored"
    state, run = server.flow_run(
        SCORE, source=str(reviews), output=str(output), runner="process", scheduler="tcp://[::1]:1"
    )
    assert state.is_failed()
    assert "Set `runner=dask`, or leave out `scheduler`" in state.message
    assert not output.exists()
    assert server.filter("task_runs", flow_runs={"id": {"any_": [str(run)]}}) == []
