"""The HTML report in a real browser, as a desk and a phone show it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from imdb_classifier.evaluation.report import write_report
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.pipeline.evaluate import evaluate_bundle
from imdb_classifier.samples import FOLDER


@pytest.fixture(scope="module")
def page_file(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    evaluation, _ = evaluate_bundle(tiny_bundle, str(FOLDER))
    return Path(write_report(evaluation, tmp_path_factory.mktemp("report"))["report.html"])


def luminance(color: str) -> float:
    """Relative luminance, in [0, 1], of a color as browsers give it: ``rgb(17, 17, 17)``."""
    shares = (int(part) / 255 for part in re.findall(r"\d+", color)[:3])
    linear = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares)
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)], ids=["desk", "phone"])
def test_the_page_is_whole_and_loads_nothing(
    browser: Browser, page_file: Path, width: int, height: int, scheme: str
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    requests: list[str] = []
    problems: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(page_file.as_uri())

    assert "of 86 reviews labeled correctly" in page.inner_text("h1")
    assert requests == [page_file.as_uri()]
    assert problems == []
    # Plots are drawn, and nothing sticks out to the side.
    plots = page.locator("svg")
    assert plots.count() >= 4
    assert all(plots.nth(i).bounding_box() for i in range(plots.count()))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    text, ground = (
        luminance(page.evaluate(f"getComputedStyle(document.body).{name}"))
        for name in ("color", "backgroundColor")
    )
    # What WCAG 2.2 asks of text for everybody to read (1.4.6).
    assert (max(text, ground) + 0.05) / (min(text, ground) + 0.05) >= 7
    context.close()


def test_a_printed_page_shows_what_is_folded_on_the_screen(
    browser: Browser, page_file: Path
) -> None:
    page = browser.new_page()
    page.goto(page_file.as_uri())
    example = page.locator("details td").first
    assert not example.is_visible()
    page.emulate_media(media="print")
    assert example.is_visible()
    page.close()
