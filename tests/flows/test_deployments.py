"""prefect.yaml, deployed to a real server and run by a real worker."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from prefect import Flow, flow
from prefect.cli.deploy._models import (
    ConcurrencyLimitSpec,
    DeploymentConfig,
    PrefectYamlModel,
    RawScheduleConfig,
    WorkPoolConfig,
)
from prefect.flows import load_flow_from_entrypoint

from imdb_classifier.batch.run import locked
from imdb_classifier.model.bundle import load_bundle
from imdb_classifier.registry.versions import bundled_path
from imdb_classifier.tasks.events import emit
from tests.flows.conftest import write_many

POOL = "imdb-classifier"
WORKER = ["-m", "prefect", "worker", "start", "--pool", POOL, "--limit", "1"]


@pytest.fixture(scope="module")
def prefect_yaml(server: Any) -> dict[str, Any]:
    text = (server.checkout / "deployments" / "prefect.yaml").read_text("utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def deploy(server: Any, *options: str) -> None:
    command = ["--no-prompt", "deploy", "--prefect-file", "deployments/prefect.yaml", *options]
    server.prefect(server.checkout, *command)


@pytest.fixture(scope="module")
def deployed(server: Any) -> Iterator[None]:
    server.prefect(server.checkout, "work-pool", "create", POOL, "--type", "process", "--overwrite")
    deploy(server, "--all")
    yield
    server.delete("deployments")


def test_prefect_knows_every_key(server: Any, prefect_yaml: dict[str, Any]) -> None:
    # Prefect ignores unknown keys silently.
    assert set(prefect_yaml) - {"definitions"} <= set(PrefectYamlModel.model_fields)
    for pool in prefect_yaml["definitions"].values():
        assert set(pool) <= set(WorkPoolConfig.model_fields)
    for entry in prefect_yaml["deployments"]:
        assert set(entry) <= set(DeploymentConfig.model_fields)
        assert set(entry.get("concurrency_limit", ())) <= set(ConcurrencyLimitSpec.model_fields)
        assert set(entry["work_pool"]) <= set(WorkPoolConfig.model_fields)
        for schedule in entry.get("schedules", []):
            assert set(schedule) <= set(RawScheduleConfig.model_fields)
        flow: Flow[..., Any] = load_flow_from_entrypoint(entry["entrypoint"])
        assert set(entry["parameters"]) <= set(flow.parameters.properties)


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize(
    ("name", "cron", "slug", "tag", "limit"),
    [
        ("train-imdb/weekly", "0 2 * * 0", "weekly", "train", 1),
        ("score-parquet/nightly", "0 4 * * *", "nightly", "score", None),
    ],
)
def test_schedules_and_limits(
    server: Any, name: str, cron: str, slug: str, tag: str, limit: int | None
) -> None:
    deployment = server.deployment(name)
    (schedule,) = deployment["schedules"]
    assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == (cron, "UTC")
    assert (schedule["active"], schedule["slug"]) == (True, slug)
    assert (deployment["global_concurrency_limit"] or {}).get("limit") == limit
    if limit is not None:
        assert deployment["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert str(server.checkout) not in str(deployment)
    assert (deployment["tags"], deployment["work_pool_name"]) == ([tag], POOL)
    assert deployment["description"]


@pytest.mark.usefixtures("deployed")
def test_evaluation_and_promotion_have_no_schedule(server: Any) -> None:
    for name in ("evaluate-imdb/on-demand", "promote-model/on-demand"):
        assert server.deployment(name)["schedules"] == []


@pytest.mark.usefixtures("deployed")
def test_a_worker_scores(server: Any, reviews: Path, tmp_path: Path) -> None:
    source, output = reviews / "day=2026-11-01", tmp_path / "scored"
    nightly = server.deployment("score-parquet/nightly")
    parameters = {"source": str(source), "output": str(output), "registry": str(tmp_path / "none")}
    run = server.post(f"/deployments/{nightly['id']}/create_flow_run", parameters=parameters)["id"]
    with server.running(WORKER, tmp_path, "the run ended", lambda: server.has_ended(run)):
        seen = server.get(f"/flow_runs/{run}")
        # As in the form of the UI, which is filled in with only=new,stale.
        path = f"/deployments/{nightly['id']}/create_flow_run"
        forced = server.post(path, parameters={**parameters, "force": True})["id"]
        server.wait_for("end of the forced run", lambda: server.has_ended(forced))
    assert server.get(f"/flow_runs/{forced}")["parameters"]["only"] == "new,stale"
    assert [row["status"] for row in server.table(forced, "scored-files")] == ["scored"]
    assert (seen["state"]["type"], seen["state"]["name"]) == ("COMPLETED", "Completed")
    assert seen["state"]["message"].startswith("3 rows in 1 file scored by production-")
    bundled = load_bundle(bundled_path()).model_id
    assert seen["name"] == f"score {source} with {bundled}"
    assert sorted(seen["tags"]) == sorted(["score", bundled])
    (row,) = server.table(run, "scored-files")
    assert (row["name"], row["status"], row["without text"]) == ("a.parquet", "scored", 1)
    assert (output / "_SUCCESS").exists()
    scored = pq.read_table(output / "a.parquet")
    assert scored["sentiment_label"].to_pylist() == ["positive", None, "negative"]


@pytest.mark.usefixtures("deployed")
def test_what_a_worker_runs_is_not_served(server: Any, tmp_path: Path) -> None:
    serve = [str(server.checkout / "deployments" / "serve.py"), "--source", "in", "--output", "out"]
    done = server.run(serve, tmp_path)
    assert done.returncode == 78
    assert f"train-imdb/weekly belongs to the work pool {POOL}." in done.stderr


@pytest.mark.usefixtures("deployed")
def test_a_promotion_has_stale_files_scored_again(server: Any) -> None:
    nightly = server.deployment("score-parquet/nightly")["id"]
    automations = {found["name"]: found for found in server.filter("automations")}
    assert automations["imdb-classifier retrains on drift"]["enabled"] is False
    (action,) = automations["imdb-classifier scores again after a promotion"]["actions"]
    assert (action["type"], action["deployment_id"]) == ("run-deployment", nightly)

    @flow
    def promotes() -> None:
        emit("model.promoted", "model", "seed-0123", "seed-0123", {})

    promotes()

    def started() -> list[dict[str, Any]]:
        by_promotion: dict[str, Any] = {"id": {"any_": [nightly]}}
        found = server.filter("flow_runs", deployments=by_promotion)
        return [run for run in found if run["parameters"]["only"] == "stale"]

    server.wait_for("run of score-parquet/nightly", lambda: bool(started()))
    (run,) = started()
    assert run["parameters"]["model"] == "@champion"
    # It would have the slot of its deployment once a worker is there.
    server.delete("flow_runs", run["name"])


@contextmanager
def watched(server: Any, folder: Path) -> Iterator[None]:
    """automations.yaml on the server, with the shortest time that Prefect takes.

    Runs that live send a heartbeat every half minute at most, so none may be under way.
    """
    text = (server.checkout / "deployments" / "automations.yaml").read_text("utf-8")
    dead_runs, *_ = yaml.safe_load(text)["automations"]
    assert dead_runs["trigger"]["within"] == 600
    dead_runs["trigger"]["within"] = 10
    (folder / "hasty.yaml").write_text(yaml.safe_dump(dead_runs), "utf-8")
    server.prefect(folder, "automation", "create", "--from-file", "hasty.yaml")
    try:
        yield
    finally:
        server.delete("automations", dead_runs["name"])


@pytest.mark.usefixtures("deployed")
def test_a_run_that_died_is_marked_as_crashed_and_frees_its_slot(
    server: Any, tmp_path: Path
) -> None:
    weekly = server.deployment("train-imdb/weekly")["id"]

    def begin() -> tuple[str, str]:
        run = server.post(f"/deployments/{weekly}/create_flow_run")["id"]
        pending = {"type": "PENDING", "name": "Pending"}
        return run, server.post(f"/flow_runs/{run}/set_state", state=pending)["state"]["type"]

    dead, state = begin()
    assert state == "PENDING"
    server.post(f"/flow_runs/{dead}/set_state", state={"type": "RUNNING", "name": "Running"})
    assert begin()[1] == "CANCELLED"
    with watched(server, tmp_path):
        server.heartbeat(dead, "train-imdb")
        server.wait_for("end of the dead run", lambda: server.has_ended(dead))
    assert server.get(f"/flow_runs/{dead}")["state_type"] == "CRASHED"
    assert begin()[1] == "PENDING"


@pytest.mark.usefixtures("deployed")
def test_after_a_worker_was_killed_the_next_run_takes_over(server: Any, tmp_path: Path) -> None:
    source, output = write_many(tmp_path / "many", files=12, times=120), tmp_path / "scored"
    nightly = server.deployment("score-parquet/nightly")["id"]
    parameters = {"source": str(source), "output": str(output), "registry": str(tmp_path / "none")}

    def begin() -> str:
        run = server.post(f"/deployments/{nightly}/create_flow_run", parameters=parameters)["id"]
        return str(run)

    first, begun = begin(), lambda: any(output.glob("*.parquet"))
    with server.running(WORKER, tmp_path, "a file was scored", begun) as worker:
        os.killpg(worker.pid, signal.SIGKILL)
    assert server.get(f"/flow_runs/{first}")["state_type"] == "RUNNING"
    heartbeat = {
        "event": {"name": ["prefect.flow-run.heartbeat"]},
        "resource": {"id": [f"prefect.flow-run.{first}"]},
    }
    server.wait_for(
        "heartbeat of the run", lambda: server.post("/events/filter", filter=heartbeat)["events"]
    )
    with watched(server, tmp_path):
        server.heartbeat(first, "score-parquet")
        server.wait_for("end of the dead run", lambda: server.has_ended(first))
    assert server.get(f"/flow_runs/{first}")["state_type"] == "CRASHED"
    assert not (output / "_SUCCESS").exists()

    second = begin()
    with server.running(WORKER, tmp_path, "the run ended", lambda: server.has_ended(second)):
        assert server.get(f"/flow_runs/{second}")["state_name"] == "Completed"
    statuses = Counter(row["status"] for row in server.table(second, "scored-files"))
    assert set(statuses) == {"reused", "scored"}
    assert statuses.total() == 12
    assert (output / "_SUCCESS").exists()


@pytest.fixture
def every_five_seconds(
    server: Any, deployed: None, reviews: Path, tmp_path: Path
) -> Iterator[Path]:
    """The nightly deployment with another schedule and other folders; returns the output's."""
    source, output = reviews / "day=2026-11-01", tmp_path / "scored"
    parameters = {"source": source, "output": output, "registry": tmp_path / "none"}
    given = [part for name, path in parameters.items() for part in ("--param", f"{name}={path}")]
    deploy(server, "--name", "nightly", *given)
    schedule = ["schedule", "create", "score-parquet/nightly", "--interval", "5", "--replace", "-y"]
    server.prefect(tmp_path, "deployment", *schedule)
    yield output
    # A run that was stopped with its worker still holds the slot of its deployment.
    server.delete("deployments")
    deploy(server, "--all")


def test_a_worker_scores_on_schedule(server: Any, every_five_seconds: Path, tmp_path: Path) -> None:
    (schedule,) = server.deployment("score-parquet/nightly")["schedules"]
    assert schedule["schedule"]["interval"] == 5
    with server.running(WORKER, tmp_path, "a scheduled run completed", server.scored_on_schedule):
        scored = pq.read_table(every_five_seconds / "a.parquet")
    assert scored["sentiment_label"].to_pylist() == ["positive", None, "negative"]


def scheduled(server: Any) -> list[dict[str, Any]]:
    """The runs of the nightly deployment that the scheduler made and that have ended."""
    ended = {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]}}}
    nightly = {"name": {"any_": ["nightly"]}}
    found = server.filter("flow_runs", deployments=nightly, flow_runs=ended, sort="END_TIME_DESC")
    return [run for run in found if run["auto_scheduled"]]


def test_a_run_on_another_folder_does_not_cancel_the_nights(
    server: Any, every_five_seconds: Path, tmp_path: Path
) -> None:
    nightly = server.deployment("score-parquet/nightly")["id"]
    other = {"output": str(tmp_path / "elsewhere")}
    run = server.post(f"/deployments/{nightly}/create_flow_run", parameters=other)["id"]
    for state in ("PENDING", "RUNNING"):
        server.post(f"/flow_runs/{run}/set_state", state={"type": state, "name": state.title()})
    assert server.get(f"/flow_runs/{run}")["state_type"] == "RUNNING"
    with server.running(WORKER, tmp_path, "a scheduled run ended", lambda: scheduled(server)):
        assert {ended["state_name"] for ended in scheduled(server)} == {"Completed"}
    assert (every_five_seconds / "_SUCCESS").exists()


def test_a_scheduled_run_that_overlaps_another_says_so(
    server: Any, every_five_seconds: Path, tmp_path: Path
) -> None:
    with (
        locked(str(every_five_seconds)),
        server.running(WORKER, tmp_path, "a scheduled run ended", lambda: scheduled(server)),
    ):
        run, *_ = scheduled(server)
        assert (run["state_type"], run["state_name"]) == ("CANCELLED", "OutputInUse")
        message = f"Another run is writing to {every_five_seconds}: process "
        assert message in run["state"]["message"]
        assert not list(every_five_seconds.glob("[!.]*"))
