"""The published tables: every row is there, is documented, and goes through the real chain at a tiny scale.

The last part takes minutes: ``pytest -m slow -n 2 --dist loadscope``; its two classes run side by side.
"""

import json
import math
import re
from functools import cache

import pandas as pd
import pytest
import torch
import yaml
from conftest import CHECKOUT, Project, copy_of_checkout

from tintype.config import BASELINE_NAMES, load_project
from tintype.metrics.registry import metric_names, metric_of
from tintype.models import build_discriminator, build_generator

ROWS = {
    "places205": ["gan_l1", "gan_l1_class", "wgan_gp_l2_class_30", "wgan_gp_l2_class_50"],
    "imagenet4k": [
        *("autoencoder", "unet_mse", "unet_mae", "unet_perceptual", "pix2pix_perceptual", "nogan"),
        "classification",
    ],
    "flowers102": [
        "unet_only",
        *("dense_rgb", "patch_rgb", "unet_rgb"),
        *("dense_hsv", "patch_hsv", "unet_hsv"),
        *("dense_ycbcr", "patch_ycbcr", "unet_ycbcr"),
        *("patch_rgb_w", "unet_rgb_w", "patch_ycbcr_w", "unet_ycbcr_w"),
        *(f"unet_rgb_l1_{2**power}" for power in range(11)),
        "unet_rgb_final",
        *("patch_hsv_rgbloss", "patch_ycbcr_rgbloss"),
    ],
    "coco8k": ["unet_gan_l1", "resnet18_unet", "classification"],
    "landscape": ["sa_gan_l1_perceptual", "sa_gan_l1", "gan_l1_perceptual"],
}

TINY = {
    # data and features need no download
    **{"network": "efficientnet_lite", "fid_torchvision": False, "weights": "none"},
    # the few photos leave something for every split
    **{"limit": 64, "classes": None, "validation": 0.1, "test": 0.25, "min_side": 16},
    # small networks, short training
    **{"image_size": 32, "filters": 4, "depth": 4, "layers": 2, "batch_size": 8, "epochs": 1, "discriminator_steps": 2},
    "samples": 1,
}
"""What is set, wherever the key stands in a table's params. Nothing else is changed: a row that is wrong stays so."""


@pytest.mark.parametrize("table", ROWS)
def test_every_row_of_the_table_is_there(table):
    project = load_project(CHECKOUT / "tables" / table / "params.yaml")
    assert list(project.rows) == ROWS[table]
    assert project.register_.model == f"colorizer-{table}"


@pytest.mark.parametrize("table", ROWS)
def test_published_figures_are_those_of_metrics(table):
    published = load_project(CHECKOUT / "tables" / table / "params.yaml").published
    assert list(published) == [row for row in ROWS[table] if row in published]
    for row in published.values():
        for name in row.metrics:
            metric_of(name)  # raises where there is none such
            assert "lite2" not in name


@pytest.mark.parametrize("table", sorted(params.parent.name for params in CHECKOUT.glob("tables/*/params.yaml")))
def test_a_table_is_a_project_on_the_one_pipeline(table):
    folder = CHECKOUT / "tables" / table
    assert load_project(folder / "params.yaml").rows_resolved()
    assert (folder / "dvc.yaml").resolve() == CHECKOUT / "dvc.yaml"
    assert (folder / ".dvc/config").read_text() == (CHECKOUT / "tables/places205/.dvc/config").read_text()


@pytest.mark.parametrize(
    ("row", "parameters"),
    [("patch_rgb", 20e6), ("dense_rgb", 20e6), ("unet_rgb", 29_279_268)],
)
def test_table_c_has_the_parameters_that_its_report_counts(row, parameters):
    """Of generator and discriminator together; they were drawn, not written down, so within 5 %."""
    project = load_project(CHECKOUT / "tables/flowers102/params.yaml")
    config, size = project.row(row), project.preprocess.image_size
    with torch.device("meta"):
        generator = build_generator(config.generator, 0, size)
        discriminator = build_discriminator(config.discriminator, config.generator.space, size)
    counted = sum(weight.numel() for network in (generator, discriminator) for weight in network.parameters())
    assert counted == pytest.approx(parameters, rel=0.05)


def test_the_docs_list_the_same_rows():
    sections = re.split(
        r"^## `tables/(\w+)`.*$", (CHECKOUT / "docs/reference/tables.md").read_text(), flags=re.MULTILINE
    )
    listed = {
        table: re.findall(r"^\| `(\w+)` \|.*\| `dvc repro evaluate@\1` \| (?:full|short|not) run", text, re.MULTILINE)
        for table, text in zip(sections[1::2], sections[2::2], strict=True)
    }
    assert listed == ROWS


def tiny(values, key=None):
    """Params at the scale of `TINY`."""
    if isinstance(values, dict):
        return {name: tiny(value, name) for name, value in values.items()}
    if isinstance(values, list):
        return [tiny(value) for value in values]
    return TINY.get(key, values)


@pytest.fixture(scope="class")
def reproduced(request, tmp_path_factory, photos, stages_start_at_once):
    """Call it with a table: the project after its `dvc repro`, which goes on after a row that fails."""
    checkout = copy_of_checkout(tmp_path_factory.mktemp("tables"))
    for table, rows in request.cls.projects.items():
        folder = checkout.root / "tables" / table
        values = yaml.safe_load((folder / "params.yaml").read_text())
        published = {row: theirs for row, theirs in values.pop("published").items() if row in rows}
        values["rows"] = {row: values["rows"][row] for row in rows}
        values = {**tiny(values), "published": published}
        values["data"] |= {"source": "folder", "origin": str(photos)}
        if values["features"]["perceptual"] == "imagenet":
            values["features"]["perceptual"] = "efficientnet_lite"
        (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
        (folder / "dvc.lock").unlink(missing_ok=True)
    checkout.commit("tiny tables")

    @cache
    def made(table):
        project = Project(checkout.root / "tables" / table)
        project.done = project.run("dvc", "repro", "--keep-going", check=False)
        return project

    return made


class Chain:
    """What is true of every project, a table with some of its rows."""

    projects: dict[str, list[str]]

    def test_the_table_is_made_by_dvc_and_leaves_git_clean(self, reproduced, table):
        project = reproduced(table)
        assert project.done.returncode == 0, project.done.stderr[-4000:]
        changed = project.run("git", "status", "--porcelain", ".").stdout.splitlines()
        made = tuple(f"tables/{table}/{name}" for name in ("metrics/", "report/", "dvc.lock"))
        assert [line for line in changed if not line[3:].startswith(made)] == []

    def test_its_report_sets_ours_beside_the_published_figures(self, reproduced, table):
        root = reproduced(table).root
        project = load_project(root / "params.yaml")
        measured, *beside = (root / "report/table.md").read_text().split("## ")
        assert re.findall(r"^\| `(\w+)`", measured, re.MULTILINE) == [*BASELINE_NAMES, *project.rows]
        assert bool(beside) == bool(project.published)
        if beside:
            lines = re.findall(r"^\| `(\w+)` \| (\w*)", beside[0], re.MULTILINE)
            assert lines == [
                (row, name) for row, theirs in project.published.items() for name in theirs.metrics or [""]
            ]

    def test_the_row_goes_through_the_chain(self, reproduced, table, row):
        root = reproduced(table).root
        project = load_project(root / "params.yaml")
        config = project.row(row)

        metrics = json.loads((root / f"metrics/{row}.json").read_text())
        assert set(metrics) == set(
            metric_names("_lite2", project.evaluate.spaces, classes=config.loss.class_weight > 0)
        )
        assert all(math.isfinite(value) for value in metrics.values())

        card = json.loads((root / f"models/{row}/generator.json").read_text())
        assert card["generator"] == config.generator.model_dump(mode="json")
        assert bool(card["classes"]) == (config.loss.class_weight > 0)

        curves = pd.read_csv(root / f"curves/{row}.csv").set_index("phase")
        assert list(curves.index) == [phase.train for phase in config.training.phases]
        about = {"epoch", "lr", "val_mae", "val_ciede2000", "val_colorfulness"}
        for phase, record in curves.iterrows():
            assert set(record.dropna().index) - about == terms_of(config.loss, phase)


LARGEST, HERE = "flowers102", 20
"""DVC's own time a stage grows with the project's rows: the largest table is run in two parts."""


@pytest.mark.slow
class TestOneHalf(Chain):
    projects = {LARGEST: ROWS[LARGEST][:HERE]}  # noqa: RUF012


@pytest.mark.slow
class TestTheOtherHalf(Chain):
    projects = {**ROWS, LARGEST: ROWS[LARGEST][HERE:]}  # noqa: RUF012


def pytest_generate_tests(metafunc):
    projects = getattr(metafunc.cls, "projects", {})
    if projects and "row" in metafunc.fixturenames:
        metafunc.parametrize(("table", "row"), [(table, row) for table, rows in projects.items() for row in rows])
    elif projects:
        metafunc.parametrize("table", projects)


def terms_of(loss, phase):
    """The columns of a phase's epochs."""
    weights = {
        "l1": loss.l1_weight,
        "l2": loss.l2_weight,
        "perceptual": loss.perceptual_weight,
        "class": loss.class_weight,
        "bins": loss.bins_weight,
    }
    terms = {name for name, weight in weights.items() if weight} if phase != "discriminator" else set()
    if phase == "adversarial":
        terms |= {"adversarial"}
    if phase != "generator":
        terms |= {"discriminator_real", "discriminator_fake"}
        terms |= {"gradient_penalty"} if loss.adversarial == "wgan_gp" else set()
        terms |= (
            set()
            if loss.adversarial.startswith("wgan")
            else {"discriminator_real_success", "discriminator_fake_success"}
        )
    return terms
