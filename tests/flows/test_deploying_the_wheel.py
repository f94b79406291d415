"""A deployment from an empty folder, with nothing but the wheel installed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.flows.conftest import CHECKOUT

POOL = "wheel"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the wheel was installed into, without its dependencies."""
    built, folder = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("installed")
    build = ["hatchling", "build", "--target", "wheel", "--directory", str(built)]
    subprocess.run([sys.executable, "-m", *build], cwd=CHECKOUT, check=True)
    (wheel,) = built.iterdir()
    with zipfile.ZipFile(wheel) as files:
        files.extractall(folder)
    return folder


def test_the_wheel_is_deployed_from_an_empty_folder(
    server: Any, installed: Path, reviews: Path, tmp_path: Path
) -> None:
    user = replace(server, environment={**server.environment, "PYTHONPATH": str(installed)})
    deployer, worker = tmp_path / "deployer", tmp_path / "worker"
    deployer.mkdir()
    worker.mkdir()
    program = (
        "from imdb_classifier.flows import score_parquet as f; print(f.fn.__code__.co_filename)"
    )
    came_from = user.run(["-c", program], deployer).stdout.strip()
    assert Path(came_from).is_relative_to(installed)

    user.prefect(deployer, "work-pool", "create", POOL, "--type", "process")
    deploy = ["--no-prompt", "deploy", "--pool", POOL]
    user.prefect(deployer, *deploy, "imdb_classifier.flows.promote_model", "--name", "by-hand")
    configured = installed / "imdb_classifier" / "_deployments" / "prefect.yaml"
    nightly = ["--prefect-file", str(configured), "--name", "nightly"]
    user.prefect(deployer, *deploy, *nightly)
    assert user.deployment("promote-model/by-hand")["work_pool_name"] == POOL
    deployment = user.deployment("score-parquet/nightly")
    assert not deployment["pull_steps"]
    assert str(deployer) not in str(deployment)
    deployer.rmdir()

    output = tmp_path / "scored"
    parameters = {
        "source": str(reviews / "day=2026-11-01"),
        "output": str(output),
        "registry": str(tmp_path / "none"),
    }
    path = f"/deployments/{deployment['id']}/create_flow_run"
    run = user.post(path, parameters=parameters)["id"]
    command = ["-m", "prefect", "worker", "start", "--pool", POOL]
    with user.running(command, worker, "the run ended", lambda: user.has_ended(run)):
        assert user.get(f"/flow_runs/{run}")["state_name"] == "Completed"
    user.delete("deployments")
    scored = pq.read_table(output / "a.parquet")
    assert scored["sentiment_label"].to_pylist() == ["positive", None, "negative"]
