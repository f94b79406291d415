"""The plots of a report, as SVG fragments for an HTML page.

Text stays text, and colors are CSS variables (``--ink``, ``--muted``, ``--line``, ``--positive``,
``--negative``), so that the page controls fonts and colors. The same evaluation gives the same
bytes.
"""

from __future__ import annotations

import atexit
import io
import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import numpy as np
from platformdirs import user_cache_path, user_config_path

from imdb_classifier.errors import MissingExtraError
from imdb_classifier.evaluation.result import Evaluation
from imdb_classifier.schema import THRESHOLD
from imdb_classifier.storage.paths import home_expanded
from imdb_classifier.storage.temporary import temporary_folder


def _has_folders() -> bool:
    """Return whether Matplotlib can write to its folders in the user's home directory."""
    try:
        for folder in (user_config_path("matplotlib"), user_cache_path("matplotlib")):
            path = Path(home_expanded(str(folder)))
            path.mkdir(parents=True, exist_ok=True)
            if not os.access(path, os.W_OK):
                return False
    except (OSError, RuntimeError):
        return False
    return True


if "MPLCONFIGDIR" not in os.environ and sys.platform == "linux" and not _has_folders():
    # Matplotlib would make one itself, print two lines about it, and leave it behind if killed.
    _kept = ExitStack()
    os.environ["MPLCONFIGDIR"] = str(_kept.enter_context(temporary_folder()))
    atexit.register(_kept.close)
try:
    from matplotlib import style
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter
except ModuleNotFoundError as error:
    raise MissingExtraError("A report with plots", "matplotlib", "train") from error

# Matplotlib has no CSS variables, so these exact colors are replaced in the finished SVG.
_COLORS: Final = {
    "#20262e": "--ink",
    "#66707c": "--muted",
    "#d5d9de": "--line",
    "#2a6a9e": "--positive",
    "#bf5b3f": "--negative",
}
_INK, _MUTED, _LINE, _POSITIVE, _NEGATIVE = _COLORS

_STYLE: Final[dict[str, Any]] = {
    "axes.edgecolor": _LINE,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": _MUTED,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "font.size": 9,
    "grid.color": _LINE,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",
    "text.color": _INK,
    "xtick.color": _LINE,
    "xtick.labelcolor": _MUTED,
    "ytick.color": _LINE,
    "ytick.labelcolor": _MUTED,
}
_SIZE: Final = (4.4, 3.3)
_TALL: Final = (4.4, 4.2)


def draw(evaluation: Evaluation) -> dict[str, str]:
    """Draw all plots of an evaluation.

    Returns:
        SVG elements by name: roc, calibration, histogram and, if the evaluation has them,
        by_length, coverage and history.
    """
    plots: dict[str, Callable[[Evaluation], Figure]] = {
        "roc": _roc,
        "calibration": _calibration,
        "histogram": _histogram,
    }
    if evaluation.by_length:
        plots["by_length"] = _by_length
    if evaluation.coverage:
        plots["coverage"] = _coverage
    if evaluation.history:
        plots["history"] = _history
    svgs = {}
    for name, plot in plots.items():
        # Starts from the defaults to ignore the user's matplotlibrc; the salt keeps the ids of
        # different plots apart.
        with style.context(["default", {**_STYLE, "svg.hashsalt": name}]):
            svgs[name] = _svg(plot(evaluation))
    return svgs


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(
        buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
    )
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r' id="[\w.]+_\d+"', "", svg)
    svg = svg.replace("<svg ", '<svg aria-hidden="true" ', 1)
    for color, variable in _COLORS.items():
        svg = svg.replace(color, f"var({variable})")
    return svg


def _percent(axes: Axes, *, x: bool = False, y: bool = False) -> None:
    for axis, wanted in ((axes.xaxis, x), (axes.yaxis, y)):
        if wanted:
            axis.set_major_formatter(lambda share, _: f"{100 * share:.4g} %")


def _roc(evaluation: Evaluation) -> Figure:
    figure = Figure(_TALL, layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=_MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
    curve = evaluation.roc
    axes.plot(curve.false_positive_rate, curve.true_positive_rate, color=_POSITIVE)
    confusion = evaluation.confusion
    at = (
        confusion.false_positives / (confusion.false_positives + confusion.true_negatives),
        confusion.true_positives / (confusion.true_positives + confusion.false_negatives),
    )
    axes.plot(*at, "o", color=_POSITIVE, markersize=6)
    axes.annotate(f"threshold {THRESHOLD}", at, (8, -11), textcoords="offset points", color=_INK)
    axes.annotate("chance", (0.62, 0.62), (7, -10), textcoords="offset points", color=_MUTED)
    axes.set(xlim=(-0.015, 1.0), ylim=(0, 1.015))
    axes.set(xlabel="false positive rate", ylabel="true positive rate (recall)")
    _percent(axes, x=True, y=True)
    return figure


def _calibration(evaluation: Evaluation) -> Figure:
    figure = Figure(_TALL, layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
    bins = evaluation.calibration
    share = np.array([part.positive_share.value for part in bins])
    low = np.array([part.positive_share.low for part in bins])
    high = np.array([part.positive_share.high for part in bins])
    axes.plot([0, 1], [0, 1], color=_MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.errorbar(
        [part.mean_probability for part in bins],
        share,
        yerr=(share - low, high - share),
        color=_POSITIVE,
        marker="o",
        markersize=4,
        linewidth=1.0,
        elinewidth=1.4,
    )
    axes.set(ylim=(-0.015, 1.015), ylabel="share of positive reviews")
    _percent(axes, y=True)
    below.bar(
        [part.low for part in bins],
        [part.rows for part in bins],
        [part.high - part.low for part in bins],
        align="edge",
        color=_MUTED,
        alpha=0.55,
        edgecolor="none",
    )
    below.set(xlim=(-0.015, 1.015), xlabel="mean probability of positive in the bin")
    below.set_ylabel("reviews")
    below.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    below.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    return figure


def _histogram(evaluation: Evaluation) -> Figure:
    figure = Figure(_SIZE, layout="constrained")
    axes = figure.add_subplot()
    positives = np.array(evaluation.histogram.positives)
    negatives = np.array(evaluation.histogram.negatives)
    width = 1 / len(positives)
    edges = np.arange(len(positives)) * width
    for counts, color in ((positives, _POSITIVE), (-negatives, _NEGATIVE)):
        axes.bar(edges + width / 2, counts, 0.86 * width, color=color, edgecolor="none")
    axes.axhline(0, color=_MUTED, linewidth=0.8)
    axes.axvline(THRESHOLD, color=_MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
    top = 1.08 * max(int(positives.max()), int(negatives.max()))
    axes.text(0.02, 0.8 * top, "positive reviews", color=_POSITIVE)
    axes.text(0.98, -0.8 * top, "negative reviews", color=_NEGATIVE, ha="right", va="center")
    axes.set(xlim=(0, 1), ylim=(-top, top))
    axes.set(xlabel="probability of positive", ylabel="reviews")
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_formatter(lambda count, _: f"{abs(count):,.0f}")
    return figure


def _by_length(evaluation: Evaluation) -> Figure:
    figure = Figure(_SIZE, layout="constrained")
    axes = figure.add_subplot()
    parts = evaluation.by_length
    value = np.array([part.accuracy.value for part in parts])
    low = np.array([part.accuracy.low for part in parts])
    high = np.array([part.accuracy.high for part in parts])
    overall = evaluation.figures["accuracy"].value
    axes.axvline(overall, color=_MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.errorbar(
        value,
        np.arange(len(parts)),
        xerr=(value - low, high - value),
        fmt="o",
        color=_POSITIVE,
        markersize=6,
        elinewidth=1.8,
    )
    axes.set_yticks(range(len(parts)), [part.name for part in parts])
    axes.set(ylim=(len(parts) - 0.5, -0.5), xlabel="accuracy", ylabel="words")
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=(1, 2, 5, 10)))
    _percent(axes, x=True)
    return figure


def _coverage(evaluation: Evaluation) -> Figure:
    figure = Figure(_SIZE, layout="constrained")
    axes = figure.add_subplot()
    assert evaluation.coverage is not None
    curve = evaluation.coverage.curve
    axes.plot(
        [point.coverage for point in curve], [point.accuracy for point in curve], color=_POSITIVE
    )
    for found in evaluation.coverage.targets:
        if found.coverage and found.accuracy:
            at = found.coverage.value, found.accuracy.value
            axes.plot(*at, "o", color=_POSITIVE, markersize=6)
            axes.annotate(
                f"{100 * found.target:g} %", at, (-6, -12), textcoords="offset points",
                color=_INK, ha="right",
            )  # fmt: skip
    axes.set(xlim=(0, 1.015), xlabel="share of reviews labeled, the most confident first")
    axes.set_ylabel("accuracy")
    axes.margins(y=0.12)
    _percent(axes, x=True, y=True)
    return figure


def _history(evaluation: Evaluation) -> Figure:
    figure = Figure(_SIZE, layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True)
    for part, name in ((axes, "loss"), (below, "accuracy")):
        for key, color, label in (
            (name, _MUTED, "training"),
            (f"val_{name}", _POSITIVE, "validation"),
        ):
            points = _known(evaluation.history, key)
            part.plot(*points, "o-", color=color, markersize=4, label=label)
        part.set_ylabel(name)
        part.margins(x=0.08, y=0.15)
    axes.legend(frameon=False, labelcolor="linecolor", ncols=2)
    _percent(below, y=True)
    below.set_xlabel("epoch")
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _known(history: tuple[Mapping[str, Any], ...], key: str) -> tuple[list[float], list[float]]:
    rows = [row for row in history if row.get(key) is not None]
    return [row["epoch"] for row in rows], [row[key] for row in rows]
