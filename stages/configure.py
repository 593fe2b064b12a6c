"""Stage `configure`: params.yaml -> one resolved config a row.

Cheap, and rerun for any change of params: training depends on its row's file alone, so that only the rows that did
change retrain.
"""

import json
from pathlib import Path

from _stage import run

from tintype.config import check_classes, load_lab
from tintype.metrics import metric_names, ranking_direction


def stage(params: Path, curated: Path, configs: Path) -> None:
    lab = load_lab(params)
    check_classes(lab, len(json.loads((curated / "summary.json").read_text())["classes"]))
    suffix = "_in_domain" if lab.features.network == "in_domain" else ""
    ranking_direction(lab.register_.metric, metric_names(suffix, lab.evaluate.spaces))
    configs.mkdir(parents=True, exist_ok=True)
    for name, row in lab.rows_resolved().items():
        (configs / f"{name}.json").write_text(row.model_dump_json(indent=2) + "\n")


if __name__ == "__main__":
    run(stage)
