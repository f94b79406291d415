"""Options that several commands share."""

from __future__ import annotations

import csv
import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any, get_args

import click

from imdb_classifier.model.engines import EngineChoice
from imdb_classifier.registry.access import CHAMPION

as_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object instead of a table."
)
data_option = click.option(
    "--data",
    type=click.Path(),
    help="IMDB reviews: a Parquet folder, the Stanford archive or its folder, a URI; or "
    "'keras' or 'aclimdb' for the published copy, which is downloaded if necessary. "
    "Default: IMDB_CLASSIFIER_DATA, else the downloaded copy.",
)
gate_on_option = click.option(
    "--gate-on",
    metavar="NAME=PATH",
    multiple=True,
    help="Labeled reviews of your own to evaluate the model on besides the IMDB test split: "
    "a name of your choice, and Parquet files with the columns text and label.",
)
label_map_option = click.option(
    "--label-map",
    metavar="LABEL=MEANING,...",
    help="What the labels of your own files mean: positive, negative or unlabeled, such as "
    "1=negative,3=unlabeled,5=positive. Default: 0 and 1, true and false, or negative and "
    "positive.",
)
model_option = click.option(
    "--model",
    default=CHAMPION,
    help="@champion, @challenger, @previous, a version's id, or a bundle's path.",
)
threads_option = click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Number of cores to use. Default: IMDB_CLASSIFIER_THREADS, else all that CPU affinity "
    "and quota allow.",
)
engine_option = click.option(
    "--engine",
    type=click.Choice(get_args(EngineChoice)),
    default="auto",
    help="What runs the network: compiled (needs the extra fast), onnx (ONNX Runtime), keras "
    "(slow; needs the extra train), or auto: compiled if it is installed and works, else onnx.",
)
registry_option = click.option(
    "--registry",
    type=click.Path(),
    help="Folder of the model registry, local or in an object store. "
    "Default: IMDB_CLASSIFIER_REGISTRY, else a folder in your home directory.",
)


def field_option(
    options: type, name: str, **settings: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return an option with the default and the description of a dataclass attribute."""
    default = getattr(options, name)
    flag = f"--{name.replace('_', '-')}"
    if isinstance(default, bool) and "is_flag" not in settings:
        flag += f"/--no-{name.replace('_', '-')}"
    return click.option(flag, default=default, help=help_of(options, name), **settings)


def help_of(options: type, name: str) -> str:
    """Return the description of a dataclass attribute from its docstring, as one line."""
    attributes = (inspect.getdoc(options) or "").partition("Attributes:\n")[2]
    entry = re.search(
        rf"^ {{4}}{name}: (.*?)(?=^ {{0,4}}\S|\Z)", attributes, re.DOTALL | re.MULTILINE
    )
    return " ".join(entry[1].split()).replace("``", "") if entry else ""


def named_limit(given: str) -> tuple[str, float]:
    """Parse ``NAME=LIMIT``."""
    name, _, limit = given.partition("=")
    try:
        return name, float(limit)
    except ValueError:
        raise click.BadParameter(f"'{given}' is not of the form NAME=LIMIT.") from None


def named_paths(given: Iterable[str]) -> dict[str, str]:
    """Parse each ``NAME=PATH``; the names must differ."""
    paths = dict[str, str]()
    for pair in given:
        name, _, path = pair.partition("=")
        if not name or not path:
            raise click.BadParameter(f"'{pair}' is not of the form NAME=PATH.")
        if name in paths:
            raise click.BadParameter(f"Two sets are named '{name}'. Choose different names.")
        paths[name] = path
    return paths


def named_meanings(given: str | None) -> dict[str, str] | None:
    """Parse ``LABEL=MEANING,...``."""
    if given is None:
        return None
    meanings = dict[str, str]()
    for pair in given.split(","):
        label, _, meaning = pair.rpartition("=")
        if not label or not meaning:
            raise click.BadParameter(f"'{pair}' is not of the form LABEL=MEANING.")
        meanings[label] = meaning.strip()
    return meanings


def listed_names(given: str | None) -> list[str] | None:
    """Parse names that are separated by commas, as in CSV; None stays None."""
    return given if given is None else next(csv.reader([given], skipinitialspace=True), [])
