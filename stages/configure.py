"""Stage `configure`: params.yaml -> one resolved config a row.

Cheap, and rerun for any change of params: training depends on its row's file alone, so that only the rows that did
change retrain. A row with a perceptual loss is told the hash of the network that it learns from, and one that starts
from the released model that model's: another network retrains it, and no other row.
"""

import json
from pathlib import Path

from _stage import run

from tintype.config import check_classes, load_project
from tintype.inference.released import released_hash
from tintype.metrics.registry import check_names


def stage(params: Path, curated: Path, features: Path, configs: Path) -> None:
    project = load_project(params)
    check_classes(project, len(json.loads((curated / "summary.json").read_text())["classes"]))
    check_names(project)
    perceptual_hash = json.loads((features / "perceptual.json").read_text()).get("sha256")
    configs.mkdir(parents=True, exist_ok=True)
    for name, row in project.rows_resolved().items():
        resolved = row.model_copy(
            update={
                "perceptual_sha256": perceptual_hash if row.needs_perceptual else None,
                "released_sha256": released_hash() if row.generator.weights == "everyday" else None,
            }
        )
        (configs / f"{name}.json").write_text(resolved.model_dump_json(indent=2) + "\n")


if __name__ == "__main__":
    run(stage)
