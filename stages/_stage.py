"""Setup shared by all stages: this checkout's library comes first, errors are one line, paths are the project's own."""

import os
import shutil
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

from _ending import heed_signals

heed_signals()  # before the imports that take seconds

REPO = Path(__file__).resolve().parents[1]
# An experiment runs in a copy of the checkout: it must import the copy's library, not the installed one.
sys.path.insert(0, str(REPO / "src"))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(REPO / "src"), os.environ.get("PYTHONPATH")]))

# Nothing phones home, whatever the user's own settings are.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

# `tintype.images` handles what Pillow warns about: it accepts the file, or refuses it with a reason.
warnings.filterwarnings("ignore", module=r"PIL\.")

try:
    from tintype.errors import FULL, UserError, machine_failure, redacted
    from tintype.files import readable
except ImportError as error:
    sys.exit(f"error: {sys.executable} lacks {error.name}: install tintype there (make install) or activate its .venv")


def project_root() -> Path:
    """Return the project's own root, even for an experiment in a temporary copy. DVC sets DVC_ROOT in every stage."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def run(stage: Callable[..., None]) -> None:
    """Call `stage` with the paths on the command line.

    What the user or the machine has to mend is one line and exit 2, without a traceback.
    """
    try:
        stage(*map(Path, sys.argv[1:]))
    except FloatingPointError as error:  # training diverged; its message says where and what may help
        _end(error, 1)
    except UserError as error:
        _end(error, 2)
    except Exception as error:
        failure = machine_failure(error)
        if failure is None:
            print(redacted(traceback.format_exc()), end="", file=sys.stderr)
            sys.exit(1)
        _end(failure + _room() * (FULL in failure), 2)


def _room() -> str:
    """Return how much room is left where the stage reads and writes."""
    folders = (next(folder for folder in (path, *path.parents) if folder.exists()) for path in _paths())
    fullest = min(folders, key=lambda folder: shutil.disk_usage(folder).free)
    free = readable(shutil.disk_usage(fullest).free)
    return f"; the stage needs more than the {free} that are free in {fullest}; make room there and run it again"


def _paths() -> list[Path]:
    return [Path(word).resolve() for word in sys.argv[1:]]


def _end(reason: object, status: int) -> None:
    line = redacted(str(reason)).replace("\n", "\\n")  # of a file's name
    print(f"error: {line}", file=sys.stderr)
    sys.exit(status)
