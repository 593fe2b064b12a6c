"""The `tintype` command, one module a sub-command. Heavy imports wait inside them: `tintype --help` answers at once."""

from __future__ import annotations

import sys
import traceback

import typer

from tintype.cli.gate import gate
from tintype.cli.init_lab import init_lab
from tintype.cli.reproduce import reproduce
from tintype.cli.verify import verify

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Automatic image colorization as a reproducible pipeline: `dvc repro` runs a lab, this command makes labs and "
    "checks them.",
)
app.command("init-lab")(init_lab)
app.command("gate")(gate)
app.command("reproduce")(reproduce)
app.command("verify")(verify)


def main() -> None:
    """Run the command. A user's mistake is one line and exit 2, never a traceback.

    A fault of tintype's own exits 3: 1 is the answer "no" of those commands that ask something.
    """
    from tintype.config import ConfigError

    try:
        app()
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except Exception:
        traceback.print_exc()
        sys.exit(3)
