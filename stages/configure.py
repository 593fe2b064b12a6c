"""Stage `configure`: params.yaml -> one resolved config per row.

The stage is cheap and reruns on any change of params. Training depends only on the file of its row, so only rows whose
config changed retrain. The config of a row with a perceptual loss contains the hash of the network behind that loss.
The config of a row that starts from the released model contains the hash of that model. A change of either retrains
the rows that use it, and no others.
"""

import json
from pathlib import Path

from _stage import run

from tintype.config import check_classes, load_project
from tintype.files import verified, write_sums
from tintype.inference.released import released_hash
from tintype.metrics.registry import check_names


def stage(params: Path, curated: Path, features: Path, configs: Path) -> None:
    project = load_project(params)
    check_classes(project, len(json.loads(verified(curated / "summary.json", "filter").read_text())["classes"]))
    check_names(project)
    perceptual_hash = json.loads(verified(features / "perceptual.json", "features").read_text()).get("sha256")
    configs.mkdir(parents=True, exist_ok=True)
    for name, row in project.rows_resolved().items():
        resolved = row.model_copy(
            update={
                "perceptual_sha256": perceptual_hash if row.needs_perceptual else None,
                "released_sha256": released_hash() if row.generator.weights == "everyday" else None,
            }
        )
        (configs / f"{name}.json").write_text(resolved.model_dump_json(indent=2) + "\n")
    write_sums(configs)


if __name__ == "__main__":
    run(stage)
