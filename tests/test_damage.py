"""Planted damage through the real chain: the gate catches each kind, and lets other seeds pass.

The project is the default one made smaller: flowers and fruit only, which have a left and a right, at 32 pixels. Its
tolerances come from `tintype calibrate`, as everyone's do.
"""

import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from conftest import Project, copy_of_checkout
from preloaded import preloaded_python

from tintype.data.sample import draw_scene
from tintype.project.gate.calibrate import calibrate
from tintype.project.pipeline import Pipeline

pytestmark = pytest.mark.slow

ROW = "gan_l1_class"
SMALLER = {
    "filter": {"test": 0.25},
    "preprocess": {"image_size": 32},
    "generator": {"depth": 4},
    "discriminator": {"layers": 1},
    "training": {
        "phases": [{"train": "adversarial", "epochs": 15, "lr": 0.001, "schedule": "cosine", "lr_final": 1e-5}]
    },
    "rows": {ROW: {"loss": {"class_weight": 0.003}}},
}
CALIBRATED, OTHERS = range(1, 11), range(11, 14)


class Damage(NamedTuple):
    """A line of the sources as it should be and as it is damaged, and the verdicts that tell."""

    module: str
    sound: str
    damaged: str
    caught_by: dict[tuple[str, str], str]


DAMAGES = {
    "the sign of the adversarial loss is flipped": Damage(
        "losses/reconstruction.py",
        'terms["adversarial"] = loss.adversarial_weight *',
        'terms["adversarial"] = -loss.adversarial_weight *',
        {(ROW, "ciede2000"): "worse"},
    ),
    # In every photo: of half of them, where flips should be, one CPU's gate saw nothing.
    "every lightness is flipped, no chroma is": Damage(
        "data/batches.py",
        "L, ab = (codes.flip(-1) if flip else codes).split([1, 2], dim=-3)",
        "L, ab = codes.split([1, 2], dim=-3)\n        L = L.flip(-1)",
        {},  # by which value of the row depends on the last bits that the CPU computes: psnr on one, others on another
    ),
    "ab are scaled by 0.8": Damage(
        "metrics/predictor.py",
        "        return predict_at(generator, space, lightness, card.image_size)",
        "        seen = predict_at(generator, space, lightness, card.image_size)\n"
        "        return seen._replace(chroma=0.8 * seen.chroma)",
        {(ROW, "colorfulness"): "moved"},
    ),
    "batch norm is left in training mode": Damage(
        "metrics/predictor.py",
        "    def predict(lightness: Tensor) -> Prediction:\n",
        "    def predict(lightness: Tensor) -> Prediction:\n"
        "        for module in generator.modules():\n"
        "            module.training = type(module).__name__ == 'BatchNorm2d' and len(lightness) > 1\n",
        {(ROW, "psnr"): "worse"},
    ),
    "the classes of the training photos are shuffled": Damage(
        "losses/reconstruction.py",
        "class_entropy(prediction.class_logits, batch.labels)",
        "class_entropy(prediction.class_logits, batch.labels[torch.randperm(len(batch.labels))])",
        {(ROW, "class_accuracy"): "worse"},
    ),
    "the training photos are evaluated": Damage(
        "metrics/evaluation.py",
        'cache.split("test")',
        'cache.split("train")',
        {("gray", "ciede2000"): "moved", ("mean_ab", "psnr"): "moved", (ROW, "ciede2000"): "too good"},
    ),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Reproduced, calibrated and committed; its `python` starts at once."""
    photos = tmp_path_factory.mktemp("photos")
    for name in ("flowers", "fruit"):
        (photos / name).mkdir()
        for number in range(200):
            draw_scene(name, np.random.SeedSequence([5, number])).save(photos / name / f"{number:03d}.png")
    project = copy_of_checkout(tmp_path_factory.mktemp("project"))
    project.change_params({**SMALLER, "data": {"source": "folder", "origin": str(photos)}})
    project.commit("smaller project")
    with preloaded_python() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(Path(folder, "python")))
        patch.setenv("PATH", os.pathsep.join([folder, os.environ["PATH"]]))
        Pipeline(project.root).dvc("repro", "evaluate", "baselines")
        calibrate(Pipeline(project.root), CALIBRATED)
        project.commit("reproduced and calibrated")
        yield project


def run_and_gate(project: Project):
    """What the gate says after a `dvc repro`: its exit status, and the verdicts of the metrics that fail."""
    Pipeline(project.root).dvc("repro", "evaluate", "baselines")
    done = project.run("tintype", "gate", "--json", check=False)
    metrics = json.loads(done.stdout)["metrics"]
    return done.returncode, {(f["row"], f["metric"]): f["verdict"] for f in metrics if f["fails"]}


@pytest.fixture
def restored(project):
    """The project; after the test it is as committed."""
    yield project
    project.run("git", "checkout", "-q", ".")


@pytest.mark.parametrize("seed", OTHERS)
def test_an_unchanged_tree_passes_with_another_seed(restored, seed):
    restored.change_params({"training": {"seed": seed}})
    assert run_and_gate(restored) == (0, {})


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_caught(restored, name):
    damage = DAMAGES[name]
    module = restored.root / "src/tintype" / damage.module
    sound = module.read_text()
    assert sound.count(damage.sound) == 1
    module.write_text(sound.replace(damage.sound, damage.damaged))
    status, failing = run_and_gate(restored)
    assert status == 1
    assert damage.caught_by.items() <= failing.items(), failing
    assert ROW in {row for row, _ in failing}, failing


def test_one_epoch_in_place_of_all_is_caught(restored):
    phases = restored.params()["training"]["phases"]
    restored.change_params({"training": {"phases": [{**phases[0], "epochs": 1}]}})
    status, failing = run_and_gate(restored)
    assert status == 1
    assert {(ROW, "ciede2000"): "worse", (ROW, "psnr"): "worse", (ROW, "mae"): "worse"}.items() <= failing.items()
