"""Figures -> JSON, Markdown and HTML, and the model card of a bundle.

The same evaluation gives the same bytes. No review text is in any of them, unless the caller hands
it to `render_html`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from imdb_classifier.errors import BadDataError, CannotWriteError, MissingExtraError
from imdb_classifier.evaluation.promotion import Decision
from imdb_classifier.evaluation.result import Evaluation
from imdb_classifier.schema import THRESHOLD
from imdb_classifier.storage import storage_of
from imdb_classifier.storage.files import to_json
from imdb_classifier.storage.paths import StrPath, to_str

try:
    import jinja2
except ModuleNotFoundError as error:
    raise MissingExtraError("A report", "jinja2", "train") from error

MARKDOWN_BYTES: Final = 64 * 1024
"""The most that `render_markdown` returns, so that any task runner takes it as an artifact."""

_CUT: Final = "\n\nCut here: the rest is in the JSON and HTML reports.\n"

# name: (title, shown in per cent, what it says)
_FIGURES: Final = {
    "accuracy": ("Accuracy", True, "of all reviews are labeled correctly"),
    "precision": ("Precision", True, "of the reviews called positive are positive"),
    "recall": ("Recall", True, "of the positive reviews are called positive"),
    "f1": ("F1", True, "harmonic mean of precision and recall"),
    "roc_auc": ("ROC AUC", False, "chance that a positive review scores above a negative one"),
    "log_loss": ("Log loss", False, "nats a review; saying 0.5 each time costs 0.693"),
    "brier_score": ("Brier score", False, "mean squared error; saying 0.5 each time costs 0.25"),
    "calibration_error": ("Calibration error", True, "mean gap of probability and outcome"),
}


def render_json(evaluation: Evaluation) -> str:
    """The evaluation as JSON; `Evaluation.from_dict` reads it back."""
    return to_json(evaluation.to_dict())


def render_markdown(evaluation: Evaluation) -> str:
    """The evaluation as headings and plain tables, at most 64 KiB of UTF-8."""
    text = render("report.md.j2", evaluation=evaluation)
    encoded = text.encode()
    if len(encoded) <= MARKDOWN_BYTES:
        return text
    kept = encoded[: MARKDOWN_BYTES - len(_CUT)].decode(errors="ignore")
    return kept[: kept.rindex("\n")] + _CUT


def render_html(evaluation: Evaluation, *, texts: Sequence[str] | None = None) -> str:
    """The evaluation as one page that loads nothing and runs no script.

    Args:
        evaluation: What to show.
        texts: The reviews of `evaluation.worst`, in its order, to be printed on the page. Without
            them the page holds no review text.

    Raises:
        BadDataError: There is not one text for each of the worst rows.
        MissingExtraError: Matplotlib is not installed.
    """
    from imdb_classifier.evaluation import plots

    if texts is not None and len(texts) != len(evaluation.worst):
        raise BadDataError(
            "The texts of a report must be those of the worst rows, one for each.",
            f"{len(texts)} came for {len(evaluation.worst)} rows.",
            "Take them from the evaluated data by the row numbers in evaluation.worst.",
        )
    return render(
        "report.html.j2", evaluation=evaluation, texts=texts, plots=plots.draw(evaluation)
    )


def render_decision(decision: Decision) -> str:
    """A decision as Markdown that reads like a verdict."""
    return render("decision.md.j2", decision=decision)


def render_model_card(manifest: Mapping[str, Any], evaluation: Evaluation | None) -> str:
    """The README.md of a bundle: a model card as the Hugging Face Hub reads it.

    Source of the format: https://huggingface.co/docs/hub/model-cards

    Args:
        manifest: Its keys model_id, recipe, seed, data, packages, package_version and created_at
            are read.
        evaluation: Of this model, or None where it has not been evaluated.
    """
    return render("model_card.md.j2", manifest=manifest, evaluation=evaluation)


def write_report(
    evaluation: Evaluation, folder: StrPath, *, texts: Sequence[str] | None = None
) -> dict[str, str]:
    """Write evaluation.json, report.md and report.html, each whole or not at all.

    Args:
        evaluation: What to write.
        folder: On this machine or in an object store; created where missing, and reports of an
            earlier run in it are replaced.
        texts: See `render_html`; the other two files never hold text.

    Returns:
        The paths by file name.

    Raises:
        BadDataError: There is not one text for each of the worst rows.
        CannotWriteError: The folder or a file in it cannot be written.
    """
    contents = {
        "evaluation.json": render_json(evaluation),
        "report.md": render_markdown(evaluation),
        "report.html": render_html(evaluation, texts=texts),
    }
    folder = to_str(folder)
    paths = {name: f"{folder}/{name}" for name in contents}
    try:
        for name, content in contents.items():
            storage_of(paths[name]).write_text(paths[name], content)
    except OSError as error:
        raise CannotWriteError(
            "A report needs a folder that can be written.",
            f"{folder} cannot: {error.strerror or error}.",
            "Name another folder, or make room in this one.",
        ) from error
    return paths


def render(
    template: str,
    *,
    evaluation: Evaluation | None = None,
    package: str = "imdb_classifier.evaluation",
    **context: Any,
) -> str:
    """A template of a package's ``templates`` folder, filled in.

    Args:
        template: Its file name; text is escaped for HTML where it ends in ``html.j2``.
        evaluation: The evaluation to show, if it shows one.
        package: The package that holds it.
        **context: What else it names.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html.j2",)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"percent": _percent, "cell": _cell, "flat": _flat}
    return environment.get_template(template).render(
        evaluation=evaluation,
        figures=_shown(evaluation) if evaluation else [],
        threshold=THRESHOLD,
        **context,
    )


def _shown(evaluation: Evaluation) -> list[dict[str, str]]:
    shown = []
    for name, (title, in_percent, meaning) in _FIGURES.items():
        figure = evaluation.figures[name]
        value, low, high = (
            _percent(number) if in_percent else f"{number:.3f}"
            for number in (figure.value, figure.low, figure.high)
        )
        unit = " %" if in_percent else ""
        shown.append(
            {
                "name": name,
                "title": title,
                "value": value,
                "low": low,
                "high": high,
                "unit": unit,
                "meaning": meaning,
            }
        )
    return shown


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _cell(value: object) -> str:
    """A value as one cell of a Markdown table that starts no other markup."""
    text = " ".join(str(value).split())
    for mark in "\\`|<[*":
        text = text.replace(mark, f"\\{mark}")
    return text


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested plain values as pairs of a readable name and a text."""
    for key, value in values.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}: ")
        elif isinstance(value, list | tuple):
            yield name, ", ".join(map(str, value))
        else:
            yield name, "not given" if value is None else str(value)
