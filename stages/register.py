"""Stage `register`: the best row -> a version of the MLflow model, champion if it beats the present one."""

import json
import os
from pathlib import Path

from _stage import REPO, lab_root, run

from tintype.config import load_lab
from tintype.data.cache import LabCache
from tintype.evaluation import measure, trained
from tintype.metrics import ranking_direction
from tintype.report import best_row, read_metrics
from tintype.tracking import Tracker


def stage(params: Path, metrics: Path, models: Path, cache_folder: Path, features: Path, out: Path) -> None:
    lab = load_lab(params)
    cache = LabCache.open(cache_folder)
    scores = read_metrics(metrics, list(lab.rows))
    row = best_row(scores, lab.register_.metric)

    def rescore(weights: Path) -> float:
        """A champion measured on another test split is measured again on this one: its old figure says nothing here."""
        return measure(trained(weights), cache, features, lab.evaluate)[lab.register_.metric]

    registered = Tracker(lab_root(), REPO).register(
        model_name=lab.register_.model,
        row=row,
        weights=models / row,
        metric=lab.register_.metric,
        direction=ranking_direction(lab.register_.metric, scores[row]),
        metrics=scores[row],
        test_split=cache.digest,
        rescore=rescore,
        experiment=os.environ.get("DVC_EXP_NAME"),
    )
    out.write_text(json.dumps(registered, indent=2) + "\n")


if __name__ == "__main__":
    run(stage)
