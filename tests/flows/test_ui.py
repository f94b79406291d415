"""What people see in the Prefect UI after a training and a scoring, in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from imdb_classifier.registry.versions import Registry
from imdb_classifier.samples import FOLDER
from tests.waiting import PATIENCE_SECONDS

SCREENSHOTS = Path("build") / "ui"
"""Kept, to be looked at."""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 1100})
    page = context.new_page()
    page.set_default_timeout(1000 * PATIENCE_SECONDS)
    yield page
    context.close()


@pytest.fixture
def look(server: Any, page: Page) -> Callable[..., None]:
    """Open a page of the UI, wait until it shows some words, and keep a picture of it."""

    def look(path: str, name: str, words: list[str], tab: str | None = None) -> None:
        page.goto(f"{server.api.removesuffix('/api')}{path}")
        if tab is not None:
            page.get_by_text(tab, exact=True).last.click()
        try:
            for word in words:
                page.get_by_text(word, exact=False).first.wait_for()
        finally:
            SCREENSHOTS.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=SCREENSHOTS / f"{name}.png", animations="disabled")

    return look


def test_runs_progress_reports_and_tables_are_seen(
    server: Any, look: Callable[..., None], tmp_path: Path
) -> None:
    registry = str(tmp_path / "registry")
    trained, train = server.flow_run(
        "flows/train.py:train_imdb", data=str(FOLDER), recipe="tiny", registry=registry
    )
    (version,) = Registry.at(registry).ids()
    assert trained.name == "NotPromoted"
    scored, score = server.flow_run(
        "flows/score.py:score_parquet",
        source=str(FOLDER),
        output=str(tmp_path / "scored"),
        registry=registry,
    )
    assert scored.is_completed()
    names = {run: server.get(f"/flow_runs/{run}")["name"] for run in (train, score)}
    look("/runs", "runs", list(names.values()))
    look(f"/runs/flow-run/{train}", "train", [names[train], "NotPromoted", version])
    look(f"/runs/flow-run/{score}", "score", [names[score], "264 rows in 2 files: 2 scored"])
    look(f"/runs/flow-run/{score}", "progress", ["264 of 264 rows"], tab="Artifacts")
    key = server.artifact(score, "scored-files")["key"]
    look(f"/artifacts/key/{key}", "history", [names[score]])
    key = server.artifact(train, "imdb-promotion")["key"]
    look(f"/artifacts/key/{key}", "promotions", [f"(refused): {version}"])
    for run, key, words in (
        (train, "imdb-evaluation", [f"Evaluation of {version}", "Calibration error"]),
        (train, "imdb-promotion", [f"Refused: {version}", "golden scores"]),
        (score, "batch-drift", ["Probabilities of positive", "unknown words"]),
        (score, "scored-files", ["test-00000-of-00001.parquet", "without text"]),
    ):
        look(f"/artifacts/artifact/{server.artifact(run, key)['id']}", key, words)


def test_the_block_is_in_the_catalog(look: Callable[..., None]) -> None:
    catalog = "/blocks/catalog"
    look(catalog, "block-catalog", ["Sentiment Model"])
    look(f"{catalog}/sentiment-model", "block", ["Label review text", "SentimentModel.load"])
    look(f"{catalog}/sentiment-model/create", "block-form", ["If empty: IMDB_CLASSIFIER_REGISTRY"])


def test_choices_are_drop_downs(
    server: Any, look: Callable[..., None], page: Page, tmp_path: Path
) -> None:
    program = "from imdb_classifier import flows\nfor name in flows.__all__:\n"
    program += "    getattr(flows, name).to_deployment('form').apply()"
    made = server.run(["-c", program], tmp_path)
    assert made.returncode == 0, made.stderr
    page.set_viewport_size({"width": 1280, "height": 2700})
    for name, choices in (
        ("score-parquet", ["label", "local", "auto"]),
        ("train-imdb", ["production"]),
        ("promote-model", ["promote"]),
    ):
        deployment = server.deployment(f"{name}/form")["id"]
        look(f"/deployments/deployment/{deployment}/run", f"form-{name}", choices)
        for choice in choices:
            page.locator("[class*=select]").get_by_text(choice, exact=True).first.wait_for()
        if name == "score-parquet":
            only = page.locator(".schema-form-property").filter(has_text="only (Optional)").last
            only.get_by_text("str", exact=True).click()
            only.locator(".p-select-button__control").wait_for()
    server.delete("deployments", "form")
