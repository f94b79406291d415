"""The program: runs a command, prints an error, and exits with its code."""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from contextlib import suppress

from imdb_classifier.cli.console import (
    drop_unwritable,
    err,
    prepare_streams,
    show,
    with_options,
)
from imdb_classifier.errors import (
    CannotWriteError,
    UnexpectedError,
    UnsupportedPackageError,
    described,
)
from imdb_classifier.system_errors import known_error
from imdb_classifier.version import __version__


def main() -> None:
    """Run a command; print an error, and exit with its code."""
    prepare_streams()
    # Prefect would say so a dozen times; where it matters, an error does, once.
    warnings.filterwarnings("ignore", "Failed to create the Prefect home directory", UserWarning)
    # Its lines, such as on a font cache that takes long, would be printed for want of a handler.
    logging.getLogger("matplotlib").addHandler(logging.NullHandler())
    try:
        _run()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Nobody reads on, as with `| head`.
        drop_unwritable(sys.stdout)
        sys.exit(1)
    except Exception as error:
        drop_unwritable(sys.stdout)
        known = known_error(error)
        if isinstance(known, UnexpectedError):
            # Most messages are left out, because they may quote a review.
            frames = "".join(traceback.format_tb(error.__traceback__))
            err.print(f"{frames}Unexpected error: {described(error)}")
            sys.exit(known.exit_code)
        if "--json" in sys.argv:
            with suppress(CannotWriteError):
                show(True, {"error": str(known), "exit_code": known.exit_code}, "")
        err.print(f"Error: {with_options(str(known))}", style="red", soft_wrap=True)
        sys.exit(known.exit_code)


def _run() -> None:
    if sys.argv[1:] == ["--version"]:
        # Without Click, whose import takes longer than all others that this needs.
        print(__version__, flush=True)
        sys.exit(0)
    import click

    try:
        # No review has been read yet, so the error's message cannot quote one.
        from imdb_classifier.cli.app import root_command
    except TypeError as error:
        # Before 8.5, arguments take no help texts.
        raise UnsupportedPackageError("click", error) from error
    try:
        # What is returned is the code of an early exit.
        # On Windows, Click would expand patterns, which `score` takes whole.
        code = root_command(
            prog_name="imdb-classifier", standalone_mode=False, windows_expand_args=False
        )
        sys.exit(code or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort as aborted:
        # Click makes this of a KeyboardInterrupt, and of an EOFError.
        raise (aborted.__cause__ or aborted) from None
