"""The first run for somebody new: both flows on whatever reviews are there, then what came out.

The flows and deployments are files beside the package, not part of it: they are run as programs,
from a checkout or from the copies that the wheel carries.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from imdb_classifier.console import err, out, table
from imdb_classifier.errors import ConfigurationError
from imdb_classifier.imdb import DATA_VARIABLE
from imdb_classifier.registry import Registry
from imdb_classifier.samples import FOLDER as SAMPLES
from imdb_classifier.schema import DEFAULT_PREFIX, TEXT, scored_fields

_PACKAGE = Path(__file__).parent


def run(folder: Path) -> int:
    """Train, check, and score a sample of reviews through the Prefect flows.

    Args:
        folder: Where registry, reports, scored files and, without a Prefect server of one's own,
            Prefect's data go.

    Returns:
        The exit code of the first flow that failed, else 0.

    Raises:
        ConfigurationError: The flows are not there.
    """
    registry, output = folder / "registry", folder / "scored"
    if os.environ.get(DATA_VARIABLE):
        data, recipe = [], "seed"
        _say(f"{DATA_VARIABLE} is set: training recipe 'seed' on the IMDB reviews, some minutes.")
    else:
        data, recipe = ["--data", str(SAMPLES)], "tiny"
        _say(
            f"{DATA_VARIABLE} is not set, so there are no IMDB reviews to train on. Recipe 'tiny' "
            "learns from the 178 sample reviews that come with the package instead: enough to "
            "watch every step, not enough to beat the bundled model, which keeps scoring."
        )
    environment = _environment(folder)
    train = ["--recipe", recipe, *data, "--registry", str(registry)]
    score = [str(SAMPLES / "test-*.parquet"), str(output), "--registry", str(registry), "--force"]
    for name, arguments in (
        ("train.py", train),
        ("score.py", score),
    ):
        script = _file("flows", name)
        code = subprocess.call([sys.executable, str(script), *arguments], env=environment)
        if code:
            return code
    _show_result(Registry(registry), output)
    return 0


def serve() -> int:
    """Run both deployments on their schedules until the process is stopped; its exit code."""
    return subprocess.call([sys.executable, str(_file("deployments", "serve.py"))])


def _file(kind: str, name: str) -> Path:
    for folder in (_PACKAGE / f"_{kind}", _PACKAGE.parent / kind):
        if (folder / name).is_file():
            return folder / name
    raise ConfigurationError(
        "The flows come with the wheel and with a checkout of the project.",
        f"{kind}/{name} is in neither.",
        "Install the package again.",
    )


def _environment(folder: Path) -> dict[str, str]:
    """The flows' environment: the Prefect server that is configured, else one of their own."""
    environment = dict(os.environ)
    if not environment.get("PREFECT_API_URL"):
        home = (folder / "prefect").resolve()
        home.mkdir(parents=True, exist_ok=True)
        environment.setdefault("PREFECT_HOME", str(home))
        environment.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "180")
    environment.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    return environment


def _show_result(registry: Registry, output: Path) -> None:
    label, probability = (field.name for field in scored_fields(DEFAULT_PREFIX))
    (scored,) = output.glob("*.parquet")
    rows: pa.Table = pq.read_table(scored).slice(0, 8)
    shown = table(
        f"Scored by {registry.load('@champion').model_id}", "text", "label", "#probability"
    )
    for text, name, value in zip(
        *(rows[column].to_pylist() for column in (TEXT, label, probability)), strict=True
    ):
        shown.add_row(text if len(text) <= 70 else f"{text[:69]}…", name, f"{value:.3f}")
    out.print(shown)
    challenger = registry.aliases()["challenger"]
    report = registry.root / "reports" / challenger / "report.html"
    out.print(f"Report of {challenger}: {report}", highlight=False, soft_wrap=True)
    out.print(f"Scored file: {scored}", highlight=False, soft_wrap=True)


def _say(text: str) -> None:
    err.print(text, style="bold", highlight=False)
