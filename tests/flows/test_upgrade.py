"""The newest Prefect goes on with what the lowest supported one has in its database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.flows.conftest import CHECKOUT, Server, prefect_server, write_reviews

LOWEST, NEWEST = (CHECKOUT / folder / "bin" / "python" for folder in (".venv-prefect", ".venv"))
POOL = "imdb-classifier"
NIGHTLY = "score-parquet/nightly"


def deployments(source: Path, output: Path) -> dict[str, Any]:
    """prefect.yaml with what is to be set, and a night every five seconds."""
    text = (CHECKOUT / "deployments" / "prefect.yaml").read_text("utf-8")
    configured: dict[str, Any] = yaml.safe_load(text)
    (nightly,) = (entry for entry in configured["deployments"] if entry["name"] == "nightly")
    nightly["parameters"] |= {"source": str(source), "output": str(output)}
    nightly["schedules"] = [{"interval": 5, "slug": "nightly"}]
    return configured


def kept(server: Server) -> dict[str, Any]:
    """What has to survive: by name, the schedules of deployments, and the automations."""
    found: dict[str, Any] = {}
    for deployment in server.filter("deployments"):
        schedules = [(each["slug"], each["active"]) for each in deployment["schedules"]]
        found[deployment["entrypoint"]] = (schedules, deployment["parameters"])
    for automation in server.filter("automations"):
        found[automation["name"]] = (automation["id"], automation["enabled"])
    return found


@pytest.mark.skipif(
    not (LOWEST.exists() and NEWEST.exists()),
    reason="`make test` and `make test-prefect` make the two environments that it needs",
)
def test_schedules_and_automations_survive_an_upgrade(tmp_path: Path) -> None:
    home, source, output = (tmp_path / name for name in ("prefect", "reviews", "scored"))
    home.mkdir()
    write_reviews(source / "a.parquet", ["A warm and funny film, I loved it."])
    (tmp_path / "prefect.yaml").write_text(yaml.safe_dump(deployments(source, output)), "utf-8")
    registry = {"IMDB_CLASSIFIER_REGISTRY": str(tmp_path / "registry")}
    # Without its scheduler, so that the run below is made by the newest.
    silent = {"PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false"}
    with prefect_server(home, {**registry, **silent}, python=str(LOWEST)) as lowest:
        lowest.prefect(tmp_path, "work-pool", "create", POOL, "--type", "process")
        lowest.prefect(tmp_path, "--no-prompt", "deploy", "--all")
        automated = lowest.run(["-m", "imdb_classifier", "automate"], tmp_path)
        assert automated.returncode == 0, automated.stderr
        before, version = kept(lowest), lowest.get("/admin/version")
        assert len(before) == 7
    with prefect_server(home, registry, python=str(NEWEST)) as newest:
        assert newest.get("/admin/version") != version
        assert kept(newest) == before
        worker = ["-m", "prefect", "worker", "start", "--pool", POOL, "--limit", "1"]
        with newest.running(
            worker, tmp_path, "a scheduled run completed", newest.scored_on_schedule
        ):
            pass
    assert (output / "_SUCCESS").exists()
