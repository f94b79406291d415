"""Groups of commands: how they list their commands, and where they take their options."""

from __future__ import annotations

from typing import Any, Final

import click

_COMMON: Final = frozenset({"-q", "--quiet", "-v", "--verbose"})


class SummaryGroup(click.Group):
    """Lists its commands with whole summaries, which by default are cut to one line."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, found.get_short_help_str(1_000)) for name, found in self.commands.items()]
            )


class ProgramGroup(SummaryGroup):
    """Takes the options of all commands after the command's name, too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the options of all commands first, wherever they stand."""
        end = args.index("--") if "--" in args else len(args)
        common = [arg for arg in args[:end] if arg in _COMMON]
        others = [arg for arg in args[:end] if arg not in _COMMON]
        return super().parse_args(ctx, [*common, *others, *args[end:]])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; print nothing after what it says on Ctrl-C."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupted:
            # Click would make the same of it, but print an empty line first.
            raise click.Abort from interrupted
