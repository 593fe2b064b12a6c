"""The `tintype` command, one module a sub-command. Heavy imports wait inside them: `tintype --help` answers at once."""

from __future__ import annotations

import sys
import traceback
import warnings

import typer

from tintype.cli.calibrate import calibrate
from tintype.cli.colorize import colorize
from tintype.cli.export import export
from tintype.cli.gate import gate
from tintype.cli.init import init
from tintype.cli.reproduce import reproduce
from tintype.cli.serve import serve
from tintype.cli.sync import sync
from tintype.cli.verify import verify

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Automatic image colorization. `tintype colorize` gives photos and videos their colors back, `tintype serve` "
    "does so in the browser. `dvc repro` trains the models, in a project; init makes projects, the others check them.",
)
app.command("colorize")(colorize)
app.command("serve", short_help="Color photos in the browser and over HTTP.")(serve)
app.command("export", short_help="Write a model to one file that needs no torch.")(export)
app.command("init", short_help="Create a project for your own photos.")(init)
app.command("gate")(gate)
app.command("calibrate")(calibrate)
app.command("reproduce", short_help="Reproduce an MLflow run, and compare.")(reproduce)
app.command("sync", short_help="Send to MLflow what its server did not take while it was away.")(sync)
app.command("verify")(verify)


def main() -> None:
    """Run the command. A user's mistake is one line and exit 2, never a traceback.

    A fault of tintype's own exits 3: 1 is the answer "no" of those commands that ask something.
    """
    from tintype.errors import UserError, redacted

    # What Pillow warns of is decided in `tintype.images`: accepted, or refused with a reason.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:  # what the operating system answers is no fault of tintype's
        where = f"{error.filename}: " if error.filename is not None else ""
        print(f"error: {where}{error.strerror or error}", file=sys.stderr)
        sys.exit(2)
    except Exception:
        print(redacted(traceback.format_exc()), end="", file=sys.stderr)
        sys.exit(3)
