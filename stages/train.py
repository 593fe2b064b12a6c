"""Stage `train@row`: resolved config, Lab cache, feature networks -> generator weights and curves; one MLflow run."""

import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

from _stage import REPO, project_root, run
from filelock import FileLock

from tintype.config import load_row
from tintype.data.cache import LabCache
from tintype.models import save_generator, weights_hash
from tintype.tracking.runs import Tracker
from tintype.training import fit
from tintype.training.checkpoints import run_key
from tintype.training.curves import write_curves


def stage(config: Path, cache_folder: Path, features: Path, model: Path, curves: Path) -> None:
    row = load_row(config)
    if row.training.processes > 1 and "LOCAL_RANK" not in os.environ:
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        sys.exit(subprocess.call([*launcher, f"--nproc-per-node={row.training.processes}", *sys.argv]))

    cache = LabCache.open(cache_folder)
    key = run_key(row, cache)
    checkpoint = project_root() / ".tintype" / "checkpoints" / f"{row.name}-{key[:16]}.pt"
    tracker = Tracker(project_root(), REPO)
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    # Concurrent experiments may train the very same row. The second one waits, as it would write the same checkpoint.
    # Of the processes that torchrun starts, only the first takes the lock.
    alone = FileLock(checkpoint.with_suffix(".lock")) if os.environ.get("RANK", "0") == "0" else nullcontext()
    with alone, tracker.training_run(row, key, cache_folder, cache.digest) as tracked:
        trained = fit(row, cache, checkpoint=checkpoint, features=features, on_epoch=tracked.log_epoch)
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


if __name__ == "__main__":
    run(stage)
