"""Stage `train@row`: resolved config, Lab cache, feature networks -> generator weights and curves; one MLflow run."""

import hashlib
import os
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from _ending import deferred
from _stage import REPO, project_root, run
from filelock import FileLock

from tintype.config import load_row
from tintype.data.cache import LabCache
from tintype.files import verified
from tintype.models import save_generator, weights_hash
from tintype.tracking.runs import Tracker
from tintype.training import fit
from tintype.training.checkpoints import run_key
from tintype.training.curves import write_curves


def stage(config: Path, cache_folder: Path, features: Path, model: Path, curves: Path) -> None:
    row = load_row(verified(config, "configure"))
    if row.training.processes > 1 and "LOCAL_RANK" not in os.environ:
        sys.exit(_launch(row.training.processes))

    cache = LabCache.open(cache_folder)
    key = run_key(row, cache)
    checkpoint = project_root() / ".tintype" / "checkpoints" / f"{row.name}-{key[:16]}.pt"
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    outputs = hashlib.sha256(str(model.resolve()).encode()).hexdigest()
    tracker = Tracker(project_root(), REPO)
    with (
        # The outputs belong to one process at a time. One that was started before is told to end, and is waited for.
        _alone(checkpoint.with_name(f"{row.name}-{outputs[:16]}.outputs.lock")),
        # Concurrent experiments may train the very same row. The second one waits: it would write the same checkpoint.
        _alone(checkpoint.with_suffix(".lock")),
        tracker.training_run(row, key, cache_folder, cache.digest) as tracked,
    ):
        with deferred() as asked:
            trained = fit(row, cache, checkpoint=checkpoint, features=features, on_epoch=tracked.log_epoch, stop=asked)
        if not trained.is_rank_zero:
            return
        save_generator(
            model,
            trained.generator,
            config=row.generator,
            classes=cache.classes if row.loss.class_weight > 0 else [],
            image_size=trained.image_size,
        )
        write_curves(curves, trained.curves)
        tracked.finish(weights_hash(model))
        checkpoint.unlink(missing_ok=True)


def _launch(processes: int) -> int:
    """Run this script in several processes, and return their exit status. They end when this process does."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    with subprocess.Popen([*launcher, *sys.argv]) as launched:
        try:
            return launched.wait()
        finally:
            launched.terminate()  # it ends the processes that it started


def _alone(lock: Path) -> AbstractContextManager[object]:
    """Hold a lock. Of the processes that torchrun starts, only the first takes it."""
    return FileLock(lock) if os.environ.get("RANK", "0") == "0" else nullcontext()


if __name__ == "__main__":
    run(stage)
