"""What `doctor` says of a Prefect server and its schedules."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import prefect
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import PREFECT_API_URL, temporary_settings

from imdb_classifier.errors import ConfigurationError, UnavailableError
from imdb_classifier.operations.health import check_schedules, check_server
from tests.command_line import Run
from tests.servers import free_port


@pytest.fixture(autouse=True)
def empty(server: Any) -> Iterator[None]:
    server.delete("deployments")
    yield
    server.delete("deployments")


@pytest.fixture
def nightly(server: Any) -> str:
    """The id of a deployment with an active schedule."""
    flow = server.post("/flows/", name="score-parquet")["id"]
    schedule = {"active": True, "schedule": {"cron": "0 4 * * *"}}
    deployment = server.post("/deployments/", name="nightly", flow_id=flow, schedules=[schedule])
    return str(deployment["id"])


def test_a_server_and_its_schedules(
    server: Any, nightly: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_server().startswith(f"{server.api}")
    query = {"deployments": {"name": {"any_": ["nightly"]}}}
    server.wait_for("run that the scheduler made", lambda: server.filter("flow_runs", **query))
    assert check_schedules() == "1 active deployment with runs ahead, none late"
    found = run("doctor", "--json").json["findings"][-2:]
    assert [finding["status"] for finding in found] == ["ok", "ok"]

    with monkeypatch.context() as broken:
        # As with a scheduler that fails.
        broken.setattr(SyncPrefectClient, "count_flow_runs", lambda *_, **__: 0)
        with pytest.raises(UnavailableError, match=r"none for nightly\. .*the server's scheduler"):
            check_schedules()
    server.patch(f"/deployments/{nightly}", paused=True)
    assert check_schedules().startswith("none is active; `imdb-classifier serve`")

    hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    late = {"type": "SCHEDULED", "name": "Late", "state_details": {"scheduled_time": hour_ago}}
    server.post(f"/deployments/{nightly}/create_flow_run", state=late)
    with pytest.raises(UnavailableError, match=r"1 run of this package's flows is late\. Start"):
        check_schedules()


def test_a_server_that_is_older(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefect, "__version__", "99.0")
    with pytest.raises(ConfigurationError, match=r"Prefect 99\.0 is installed here\. Upgrade the"):
        check_server()


def test_a_server_that_does_not_answer(run: Run) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/api"
    with temporary_settings({PREFECT_API_URL: nobody}):
        outcome = run("doctor", "--json")
    assert outcome.code == 69
    server, schedules = outcome.json["findings"][-2:]
    assert server["status"] == schedules["status"] == "fault"
    assert f"A request to {nobody} failed" in server["message"]


def test_no_server_is_configured(run: Run) -> None:
    with temporary_settings({PREFECT_API_URL: None}):
        outcome = run("doctor", "--json")
    assert outcome.code == 0
    assert {found["status"] for found in outcome.json["findings"][-2:]} == {"skipped"}
