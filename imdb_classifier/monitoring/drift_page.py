"""Drift reports in Markdown."""

from __future__ import annotations

from typing import Any, Final

from imdb_classifier.errors import counted
from imdb_classifier.evaluation.report import render
from imdb_classifier.monitoring.drift import PSI_BINS, Drift, by_score

_BAR_CHARACTERS: Final = 16


def render_drift(drift: Drift) -> str:
    """Return a drift report in Markdown, with a chart of the probabilities."""
    return render(
        "drift.md.j2",
        package="imdb_classifier.monitoring",
        drift=drift,
        rows=counted(drift.rows, "row"),
        chart=_chart(drift),
    )


def _chart(drift: Drift) -> list[dict[str, Any]]:
    """Return a row for each range of probabilities, with bars."""
    batch, reference = (
        by_score(profile) / max(profile.texts, 1) for profile in (drift.batch, drift.reference)
    )
    longest = max(batch.max(), reference.max())
    return [
        {
            "range": f"{number / PSI_BINS:.1f} to {(number + 1) / PSI_BINS:.1f}",
            "batch": ours,
            "batch_bar": _bar(ours / longest),
            "reference": theirs,
            "reference_bar": _bar(theirs / longest),
        }
        for number, (ours, theirs) in enumerate(zip(batch, reference, strict=True))
    ]


def _bar(share: float) -> str:
    eighths = round(8 * _BAR_CHARACTERS * share)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()
