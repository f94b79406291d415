"""serve.py: all deployments from one process."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pyarrow.parquet as pq
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.command_line import Run
from tests.servers import free_port
from tests.waiting import wait_for

NAMES = {
    "train-imdb/weekly": ["0 2 * * 0"],
    "score-parquet/nightly": ["0 4 * * *"],
    "evaluate-imdb/on-demand": [],
    "promote-model/on-demand": [],
}


@pytest.fixture
def serve(server: Any) -> Iterator[str]:
    yield str(server.checkout / "deployments" / "serve.py")
    server.delete("deployments")


def test_all_deployments_are_served(server: Any, serve: str, reviews: Path, tmp_path: Path) -> None:
    source, output = reviews / "day=2026-11-01", tmp_path / "scored"
    program = [serve, "--source", "reviews/day=2026-11-01", "--output", "scored"]

    def all_served() -> bool:
        return all(server.is_deployed(name) for name in NAMES)

    with server.running(program, tmp_path, "the deployments were there", all_served) as process:
        for name, crons in NAMES.items():
            deployment = server.deployment(name)
            schedules = [found["schedule"] for found in deployment["schedules"]]
            assert [schedule["cron"] for schedule in schedules] == crons
            assert {schedule["timezone"] for schedule in schedules} <= {"UTC"}
            assert deployment["entrypoint"].startswith("imdb_classifier.flows.")
            assert str(server.checkout) not in str(deployment)
            limit = deployment["global_concurrency_limit"]
            assert (limit is None) == (name == "score-parquet/nightly")
        weekly = server.deployment("train-imdb/weekly")
        assert weekly["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
        assert weekly["parameters"]["keep"] == 10
        assert {found["name"]: found["enabled"] for found in server.filter("automations")} == {
            "imdb-classifier retrains on drift": False,
            "imdb-classifier scores again after a promotion": True,
        }
        nightly = server.deployment("score-parquet/nightly")
        assert nightly["parameters"]["only"] == "new,stale"
        assert nightly["parameters"]["source"] == str(source)
        run = server.post(f"/deployments/{nightly['id']}/create_flow_run", parameters={})["id"]
        wait_for("the run ended", lambda: server.has_ended(run), process)
        # Here, because Prefect 3.9 cancels a run that has just ended if it is stopped then.
        assert server.get(f"/flow_runs/{run}")["state_name"] == "Completed"

    assert (output / "_SUCCESS").exists()
    for name in NAMES:
        deployment = server.deployment(name)
        assert deployment["paused"] is False
        assert all(schedule["active"] for schedule in deployment["schedules"])


def test_a_schedule_runs(server: Any, serve: str, reviews: Path, tmp_path: Path) -> None:
    source, output = reviews / "day=2026-11-01", tmp_path / "scored"
    # In a folder for temporary files where Prefect's is another user's.
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    (temporary / "runner_storage").touch()
    server = replace(server, environment={**server.environment, "TMPDIR": str(temporary)})
    program = [serve, "--source", str(source), "--output", str(output), "--cron", "* * * * *"]
    with server.running(program, tmp_path, "a scheduled run completed", server.scored_on_schedule):
        scored = pq.read_table(output / "a.parquet")
    assert scored["sentiment_label"].to_pylist() == ["positive", None, "negative"]


@pytest.mark.covers("serve --source", "serve --output", "serve --cron")
@pytest.mark.parametrize(("remote", "local"), [("source", "output"), ("output", "source")])
def test_the_command_says_what_is_scored_and_when(
    server: Any, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remote: str, local: str
) -> None:
    became: list[str] = []

    def execv(_: str, command: list[str]) -> NoReturn:
        became.extend(command)
        sys.exit(0)

    monkeypatch.setattr(os, "execv", execv)
    paths = (f"--{remote}", "s3://bucket/reviews", f"--{local}", "films/reviews")
    run("serve", *paths, "--cron", "30 1 * * *")

    def served() -> bool:
        return bool(server.is_deployed("score-parquet/nightly"))

    with server.running(became[1:], tmp_path, "the deployment was there", served):
        nightly = server.deployment("score-parquet/nightly")
    server.delete("deployments")
    (schedule,) = nightly["schedules"]
    assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == ("30 1 * * *", "UTC")
    parameters = nightly["parameters"]
    # URIs stay as they are, and local paths become absolute.
    assert parameters[remote] == "s3://bucket/reviews"
    assert parameters[local] == str(tmp_path / "films" / "reviews")


def test_a_schedule_is_a_cron_expression(server: Any, serve: str, tmp_path: Path) -> None:
    done = server.run([serve, "--cron", "every night"], tmp_path)
    assert done.returncode == 78
    assert "--cron must be a cron expression. It is 'every night'." in done.stderr


def test_placeholders_are_not_scheduled(server: Any, serve: str, tmp_path: Path) -> None:
    done = server.run([serve, "--source", "reviews"], tmp_path)
    assert done.returncode == 78
    assert "prefect.yaml has only a placeholder for: output. Give --source and --output." in (
        done.stderr
    )
    assert server.filter("deployments") == []


def test_schedules_need_a_server(
    server: Any, serve: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ends() -> tuple[object, str]:
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(serve, run_name="__main__")
        return ended.value.code, capsys.readouterr().err

    monkeypatch.setattr(sys, "argv", [serve, "--source", "in", "--output", "out"])
    # Prefect's own temporary server would never start a run.
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        code, said = ends()
    assert (code, "PREFECT_API_URL is not set." in said) == (78, True)
    address = f"http://127.0.0.1:{free_port()}/api"
    with temporary_settings({PREFECT_API_URL: address}):
        code, said = ends()
    assert (code, f"A request to {address} failed" in said) == (69, True)
