"""deployments/Dockerfile, its steps run without Docker; and the pools that run its image."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow.parquet as pq
import pytest
from prefect.client.schemas.objects import FlowRun

from tests.empty_machine import WITHOUT_INDEX, link_requirements
from tests.extras import needs
from tests.flows.conftest import CHECKOUT, commands, stop
from tests.servers import free_port
from tests.waiting import PATIENCE_SECONDS, wait_for

NAMES = (
    "evaluate-imdb/on-demand",
    "promote-model/on-demand",
    "score-parquet/nightly",
    "train-imdb/weekly",
)
UNPRIVILEGED = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner"]
"""Has root keep to the permissions of files, as any other user must."""


def steps_of_the_dockerfile() -> list[tuple[str, str]]:
    """Its instructions, and what stands after each."""
    text = (CHECKOUT / "deployments" / "Dockerfile").read_text("utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line.strip().partition(" ") for line in text.splitlines() if line.strip()]
    return [(instruction, rest.strip()) for instruction, _, rest in lines]


STEPS = steps_of_the_dockerfile()


def step(instruction: str) -> str:
    """What stands after an instruction that there is one of."""
    (rest,) = [rest for name, rest in STEPS if name == instruction]
    return rest


def script() -> str:
    """The steps of the Dockerfile as one script."""
    lines = []
    for instruction, rest in STEPS:
        match instruction:
            case "ARG":
                name, default = rest.split("=")
                lines.append(f'{name}="${{{name}:-{default}}}"')
            case "ENV":
                lines.append(f"export {rest}")
            case "WORKDIR":
                lines.append(f"mkdir -p {rest}; cd {rest}")
            case "COPY" if rest == ". .":
                lines.append("cp -r /context/. .")
            case "COPY":
                # From the first stage, a folder of the same name.
                stage, source, target = rest.split()
                assert (stage, source) == ("--from=build", target)
            case "RUN":
                lines.append(rest)
            case _:
                assert instruction in ("FROM", "USER", "HEALTHCHECK", "CMD")
    return "\n".join(lines)


def copy_context(folder: Path) -> None:
    """Copy what `.dockerignore` leaves of the checkout."""
    lines = (CHECKOUT / ".dockerignore").read_text("utf-8").splitlines()
    all_else, *names, caches = [line for line in lines if not line.startswith("#")]
    assert (all_else, caches) == ("*", "**/__pycache__")
    folder.mkdir()
    for name in names:
        place = CHECKOUT / name.removeprefix("!")
        if place.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(place, folder / place.name, ignore=ignored)
        else:
            shutil.copy(place, folder)


@dataclass
class Image:
    """A folder in the place of the image's root.

    Attributes:
        root: The folder.
        environment: The variables that programs get from outside.
    """

    root: Path
    environment: dict[str, str]

    def shell(self, command: str, process: int = 1) -> list[str]:
        """A shell that runs a command on paths of the image.

        Args:
            command: What it runs.
            process: Which process has the number 1.
        """
        places = r"(?<![\w/.])/(context|data|opt|src|tmp)\b"
        command = re.sub(places, rf"{self.root}/\1", command)
        return ["bash", "-euc", command.replace("/proc/1/", f"/proc/{process}/")]

    def files(self) -> set[Path]:
        """All files but those in the places for data and temporary files."""
        written = {self.root / "data", self.root / "tmp"}
        return {file for file in self.root.rglob("*") if written.isdisjoint(file.parents)}


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Image]:
    """Built, and read-only where nothing needs to be written."""
    root = tmp_path / "image"
    root.mkdir()
    found = link_requirements(tmp_path / "index", "imdb-classifier[flows]", "hatchling")
    foreign = ("IMDB_CLASSIFIER_", "PIP_", "PREFECT_", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    # Isolated, the build would ask the index for hatchling.
    environment = {**kept, **found, **WITHOUT_INDEX, "PIP_NO_BUILD_ISOLATION": "off"}
    image = Image(root, environment)
    copy_context(root / "context")
    subprocess.run(image.shell(script()), env=environment, check=True)
    for folder in ("data", "tmp"):
        (root / folder).mkdir(exist_ok=True)
    installed = [str(root / "opt"), str(root / "src")]
    subprocess.run(["chmod", "-R", "a-w", *installed], check=True)
    yield image
    subprocess.run(["chmod", "-R", "u+w", *installed], check=True)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
def test_the_image_scores(server: Any, image: Image, reviews: Path, tmp_path: Path) -> None:
    data = image.root / "data"
    shutil.copytree(reviews / "day=2026-11-01", data / "reviews")
    environment = {
        **image.environment,
        "PREFECT_API_URL": server.api,
        "PREFECT_API_REQUEST_TIMEOUT": str(PATIENCE_SECONDS),
        "PREFECT_RUNNER_POLL_FREQUENCY": "2",
        "PREFECT_RUNNER_SERVER_PORT": str(free_port()),
    }
    before = image.files()

    def shell(command: str, process: int = 1) -> list[str]:
        return [*UNPRIVILEGED, *image.shell(f"export {step('ENV')}\n{command}", process)]

    def succeeds(command: str, process: int = 1) -> bool:
        ran = subprocess.run(shell(command, process), env=environment, capture_output=True)
        return ran.returncode == 0

    assert not succeeds("touch /opt/imdb-classifier/written")
    health = step("HEALTHCHECK").partition("CMD ")[2]
    serve = shell(f"cd /tmp; exec {shlex.join(json.loads(step('CMD')))}")
    with (tmp_path / "serve.log").open("wb") as log:
        process = subprocess.Popen(serve, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        # While one program replaces another, the process has no command line to be known by.
        command_line = Path(f"/proc/{process.pid}/cmdline")
        wait_for("start", lambda: b"python" in command_line.read_bytes().split(b"\0")[0], process)
        assert not succeeds(health, process.pid)
        wait_for("health", lambda: succeeds(health, process.pid), process)
        deployments = {found["name"] for found in server.filter("deployments")}
        assert deployments == {"nightly", "on-demand"}
        nightly = server.deployment("score-parquet/nightly")["id"]
        run = server.post(f"/deployments/{nightly}/create_flow_run")["id"]
        wait_for("end of the run", lambda: server.has_ended(run), process)
        assert server.get(f"/flow_runs/{run}")["state_name"] == "Completed"
    finally:
        stop(process)
    server.delete("deployments")
    scored = pq.read_table(data / "scored" / "a.parquet")
    assert scored["sentiment_label"].to_pylist() == ["positive", None, "negative"]
    assert image.files() == before

    # In a work pool, a container runs something else, whose port nobody listens on.
    with subprocess.Popen(["sleep", "60"]) as other:
        assert succeeds(health, other.pid)
        other.kill()


Deploy = Callable[[str], tuple[dict[str, Any], dict[str, Any]]]


@pytest.fixture(scope="module")
def deploy(server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deploy]:
    """Deploys to a pool of a kind with the guide's commands, once.

    Returns the pool, and the deployments by name.
    """
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

    @cache
    def deploy(kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
        folder = tmp_path_factory.mktemp(kind)
        shutil.copytree(CHECKOUT / "deployments", folder / "deployments")
        typed = [command for command in commands("containers.md") if kind in command]
        typed.append(commands("containers.md")[-1])
        assert len(typed) == 3
        for command in typed:
            environment = {**server.environment, "PATH": programs}
            subprocess.run(["bash", "-ec", command], cwd=folder, env=environment, check=True)
        pool = server.get(f"/work_pools/imdb-classifier-{kind}")
        return pool, {name: server.deployment(name) for name in NAMES}

    yield deploy
    server.delete("deployments")


def rendered(configuration: Any, pool: dict[str, Any], deployment: dict[str, Any]) -> Any:
    """What a worker makes of a pool's template and the variables of a deployment."""
    template, variables = pool["base_job_template"], deployment["job_variables"]
    job = asyncio.run(configuration.from_template_and_values(template, variables))
    job.prepare_for_flow_run(FlowRun(name="a-run", flow_id=UUID(deployment["flow_id"])))
    return job


def test_a_docker_pool_gets_image_folders_and_credentials(deploy: Deploy) -> None:
    pool, deployments = deploy("docker")
    assert pool["type"] == "docker"
    for deployment in deployments.values():
        assert deployment["work_pool_name"] == pool["name"]
        variables = deployment["job_variables"]
        assert variables["image"] == "imdb-classifier"
        folders = [volume.split(":")[1] for volume in variables["volumes"]]
        assert set(folders) >= {"/path/to/reviews", "/path/to/scored", "/data/registry"}
        environment = variables["env"]
        assert environment["IMDB_CLASSIFIER_REGISTRY"] == "/data/registry"
        assert Path(environment["AWS_SHARED_CREDENTIALS_FILE"]).parent in map(Path, folders)
    nightly = deployments["score-parquet/nightly"]["parameters"]
    assert {nightly["source"], nightly["output"]} <= {*folders}


@needs("prefect_docker", "interop")
def test_a_docker_worker_runs_the_flow_in_the_image(server: Any, deploy: Deploy) -> None:
    from prefect_docker.worker import DockerWorkerJobConfiguration

    pool, deployments = deploy("docker")
    job = rendered(DockerWorkerJobConfiguration, pool, deployments["score-parquet/nightly"])
    assert (job.image, job.network_mode, job.auto_remove) == ("imdb-classifier", "host", True)
    assert job.command == "prefect flow-run execute"
    assert "/path/to/reviews:/path/to/reviews:ro" in job.volumes
    assert job.env["IMDB_CLASSIFIER_REGISTRY"] == "/data/registry"
    assert job.env["PREFECT_API_URL"] == server.api


def test_a_kubernetes_pool_gets_image_buckets_and_secret(deploy: Deploy) -> None:
    pool, deployments = deploy("kubernetes")
    assert pool["type"] == "kubernetes"
    known = pool["base_job_template"]["variables"]["properties"]
    for deployment in deployments.values():
        variables = deployment["job_variables"]
        # Prefect ignores unknown ones silently.
        assert set(variables) <= set(known)
        assert variables["image"] == "registry.example.org/imdb-classifier"
        assert variables["credentials"] == "imdb-classifier"
        assert variables["env"]["IMDB_CLASSIFIER_REGISTRY"] == "s3://bucket/registry"


@needs("prefect_kubernetes", "interop")
def test_a_kubernetes_worker_submits_a_job_without_privileges(server: Any, deploy: Deploy) -> None:
    from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

    pool, deployments = deploy("kubernetes")
    nightly = deployments["score-parquet/nightly"]
    job = rendered(KubernetesWorkerJobConfiguration, pool, nightly)
    pod = job.job_manifest["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "registry.example.org/imdb-classifier"
    assert container["args"] == ["prefect", "flow-run", "execute"]
    assert container["envFrom"] == [{"secretRef": {"name": "imdb-classifier", "optional": True}}]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert environment["IMDB_CLASSIFIER_REGISTRY"] == "s3://bucket/registry"
    assert environment["PREFECT_API_URL"] == server.api
    assert container["resources"]["limits"] == {"memory": "2Gi"}
    # As the Dockerfile has it: a number for the user, and only /tmp to write to.
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]
    assert f"HOME={container['volumeMounts'][0]['mountPath']} " in step("ENV")
