"""Pictures of the Prefect UI for the documentation: ``python -m docs.pictures URL``.

URL is the address of a Prefect server on which a year was played less than an hour ago
(``python -m benchmarks.year --folder FOLDER``, then ``prefect server start`` with its
``PREFECT_HOME`` in FOLDER, on the default port: its pages ask that one, unless ``PREFECT_API_URL``
names another). With a worker started for the work pool, the dashboard shows it as online. For the
picture of a training in progress, one of recipe `production` is started, which needs the IMDB
reviews (``IMDB_CLASSIFIER_DATA``), and killed. The pictures are written to this folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
import httpx

from tests.browser import chromium
from tests.waiting import PATIENCE_SECONDS, wait_for

HERE: Final = Path(__file__).parent
WIDTH: Final = 1280
MARGIN: Final = 16


@click.command
@click.argument("url", help="Address of a Prefect server.")
def main(url: str) -> None:
    """Take pictures of the pages that the documentation shows."""
    with chromium() as browser:
        page = browser.new_context(viewport={"width": WIDTH, "height": 1000}).new_page()
        page.set_default_timeout(1000 * PATIENCE_SECONDS)

        def open_page(path: str, words: str, height: int) -> None:
            page.set_viewport_size({"width": WIDTH, "height": height})
            page.goto(f"{url}{path}")
            page.get_by_text(words).first.wait_for()

        def take(name: str) -> None:
            page.wait_for_timeout(3000)  # until charts have stopped moving
            page.screenshot(path=HERE / f"prefect-{name}.png")

        open_page("/dashboard", "Flow Runs", 560)
        page.get_by_text("Past day").click()
        page.get_by_text("Past hour").click()
        take("dashboard")
        for name, deployment, height in (("ui", "weekly", 1100), ("scoring", "nightly", 900)):
            open_page(f"/runs/flow-run/{_last(url, deployment)}", "Task Runs", height)
            page.get_by_text("Artifacts", exact=True).last.click()
            take(name)
        with training(url) as run:
            open_page(f"/runs/flow-run/{run}", "Task Runs", 800)
            page.get_by_text("Artifacts", exact=True).last.click()
            page.get_by_text("left").first.wait_for()
            take("training")
        open_page("/artifacts/key/imdb-promotion-weekly", "Created", 700)
        take("promotions")
        open_page("/blocks/catalog/sentiment-model/create", "If empty", 1340)
        page.locator("form input").first.fill("film-reviews")
        page.wait_for_timeout(1500)
        form = page.locator("form").first.bounding_box()
        assert form is not None
        page.screenshot(
            path=HERE / "prefect-block.png",
            clip={
                "x": form["x"] - MARGIN,
                "y": form["y"] - MARGIN,
                "width": form["width"] + 2 * MARGIN,
                "height": form["height"] + 2 * MARGIN,
            },
        )


@contextmanager
def training(url: str) -> Iterator[str]:
    """Train until the block ends; provides the flow run's id once it shows the time left."""
    query: dict[str, Any] = {
        "artifacts": {"type": {"any_": ["progress"]}},
        "flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}},
        "sort": "CREATED_DESC",
    }

    def shown() -> str | None:
        found = _asked(f"{url}/api/artifacts/filter", query)
        runs = [each["flow_run_id"] for each in found if " left" in each["description"]]
        return runs[0] if runs else None

    program = "from imdb_classifier.flows import train_imdb; train_imdb(seed=2)"
    with tempfile.TemporaryDirectory() as registry:
        variables = {"PREFECT_API_URL": f"{url}/api", "IMDB_CLASSIFIER_REGISTRY": registry}
        process = subprocess.Popen([sys.executable, "-c", program], env=os.environ | variables)
        try:
            yield wait_for("time left", shown, process)
        finally:
            process.kill()
            process.wait()


def _last(url: str, deployment: str) -> str:
    """Return the id of the last run of a deployment that ended as Completed."""
    query: dict[str, Any] = {
        "deployments": {"name": {"any_": [deployment]}},
        "flow_runs": {"state": {"name": {"any_": ["Completed"]}}},
        "sort": "END_TIME_DESC",
        "limit": 1,
    }
    (run,) = _asked(f"{url}/api/flow_runs/filter", query)
    found: str = run["id"]
    return found


def _asked(url: str, query: dict[str, Any]) -> list[dict[str, Any]]:
    answer = httpx.post(url, json=query, timeout=PATIENCE_SECONDS)
    found: list[dict[str, Any]] = answer.raise_for_status().json()
    return found


if __name__ == "__main__":
    main()
