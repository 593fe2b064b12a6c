"""Stage `register`: the best row -> a version of the MLflow model. It becomes champion if it beats the current one."""

import json
import math
import os
from pathlib import Path

from _stage import REPO, project_root, run

from tintype.config import load_project
from tintype.data.cache import LabCache
from tintype.devices import default_device
from tintype.metrics.evaluation import evaluate_project
from tintype.metrics.predictor import load_predictor
from tintype.metrics.registry import ranking_direction
from tintype.report import best_row, read_metrics
from tintype.tracking.registry import register
from tintype.tracking.runs import Tracker


def stage(params: Path, metrics: Path, models: Path, cache_folder: Path, features: Path, out: Path) -> None:
    project = load_project(params)
    cache = LabCache.open(cache_folder)
    scores = read_metrics(metrics, list(project.rows))
    row = best_row(scores, project.register_.metric)
    direction = ranking_direction(project.register_.metric, scores[row])

    def rescore(weights: Path) -> float:
        """Measure a champion from another test split on this one, because its old value is not comparable."""
        champion = load_predictor(weights, default_device())
        # A champion in another space has no Lab planes. If the metric is measured on those, the champion loses.
        spaces = project.evaluate.spaces if champion.space == "lab" else ("rgb",)
        config = project.evaluate.model_copy(update={"spaces": spaces})
        values = evaluate_project(champion, cache, features, config)
        return values.get(project.register_.metric, math.inf if direction == "min" else -math.inf)

    registered = register(
        Tracker(project_root(), REPO),
        model_name=project.register_.model,
        row=row,
        weights=models / row,
        metric=project.register_.metric,
        direction=direction,
        metrics=scores[row],
        test_split=cache.digest,
        rescore=rescore,
        experiment=os.environ.get("DVC_EXP_NAME"),
    )
    out.write_text(json.dumps(registered, indent=2) + "\n")


if __name__ == "__main__":
    run(stage)
