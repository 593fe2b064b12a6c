"""What every stage shares: this checkout's library first, one-line errors, the project's own places."""

import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
# An experiment runs in a copy of the checkout: it must import the copy's library, not the installed one.
sys.path.insert(0, str(REPO / "src"))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(REPO / "src"), os.environ.get("PYTHONPATH")]))

# Nothing phones home, whatever the user's own settings are.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

# What Pillow warns of is decided in `tintype.images`: accepted, or refused with a reason.
warnings.filterwarnings("ignore", module=r"PIL\.")

try:
    from tintype.errors import UserError
except ImportError as error:
    sys.exit(f"error: {sys.executable} lacks {error.name}: install tintype there (make install) or activate its .venv")


def project_root() -> Path:
    """The project's own root, also for an experiment in a temporary copy: DVC sets DVC_ROOT in every stage."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def run(stage: Callable[..., None]) -> None:
    """Call `stage` with the command line's paths. A user's mistake is one line and exit 2, never a traceback."""
    try:
        stage(*map(Path, sys.argv[1:]))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except FloatingPointError as error:  # training diverged; its message says where and what may help
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
