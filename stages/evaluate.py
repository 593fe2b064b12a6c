"""Stage `evaluate@row`: generator weights, test split -> metrics and sample grid, also logged to the MLflow run."""

from pathlib import Path

from _stage import REPO, project_root, run

from tintype.config import load_project
from tintype.data.cache import LabCache
from tintype.devices import default_device
from tintype.metrics.evaluation import evaluate_project
from tintype.metrics.predictor import load_predictor
from tintype.tracking.runs import Tracker


def stage(params: Path, model: Path, cache_folder: Path, features: Path, metrics: Path, samples: Path) -> None:
    tracker = Tracker(project_root(), REPO)
    run_id = tracker.run_that_made(model)
    cache = LabCache.open(cache_folder)
    predictor, config = load_predictor(model, default_device()), load_project(params).evaluate
    results = evaluate_project(predictor, cache, features, config, metrics, samples)
    tracker.log_evaluation(run_id, model, results, samples)


if __name__ == "__main__":
    run(stage)
