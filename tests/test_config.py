from typing import get_args

import pytest
import yaml

from tintype.config import Discriminator, Generator, Row, load_project, merged, validated
from tintype.errors import UserError

MINIMAL_ROW = {
    "name": "r",
    "generator": {},
    "discriminator": {},
    "loss": {},
    "training": {"phases": [{"train": "adversarial", "epochs": 1}]},
}


def test_overrides_merge_dicts_and_replace_lists():
    base = {"loss": {"l1": 1, "l2": 2}, "phases": [1, 2], "seed": 1}
    assert merged(base, {"loss": {"l2": 3}, "phases": [9]}) == {"loss": {"l1": 1, "l2": 3}, "phases": [9], "seed": 1}
    assert base["phases"] == [1, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": {"l1": 3}}, "loss.l1: unknown key; allowed: adversarial, adversarial_weight"),
        ({"loss": {"l1_weight": "100"}}, "loss.l1_weight = '100': input should be a valid number"),
        ({"loss": {"l1_weight": -1}}, "loss.l1_weight = -1: input should be greater than or equal to 0"),
        (
            {"generator": {"architecture": "gan"}},
            "generator.architecture = 'gan': input should be 'unet', 'double_conv_unet'",
        ),
        ({"training": {"phases": []}}, "training.phases"),
        ({"training": {"phases": [{"train": "all", "epochs": 1}]}}, "training.phases.0.train = 'all': input should be"),
        ({"training": {"phases": [{"train": "discriminator"}]}}, "training.phases.0.epochs: missing"),
        ({"loss": {"adversarial": "wgan_gp"}}, "discriminator.norm = 'batch' with loss.adversarial = 'wgan_gp'"),
        (
            {"loss": {"adversarial": "wgan"}, "discriminator": {"spectral_norm": True}},
            "discriminator.spectral_norm = true with loss.adversarial = 'wgan'",
        ),
        (
            {"loss": {"class_weight": 0.1}, "generator": {"architecture": "resnet18_unet"}},
            "loss.class_weight = 0.1 with generator.architecture = 'resnet18_unet': only 'unet' has",
        ),
        (
            {"generator": {"attention": True, "architecture": "autoencoder"}},
            "generator.attention = true with generator.architecture",
        ),
        ({"generator": {"attention": True, "depth": 3}}, "generator.attention = true with generator.depth = 3"),
        ({"generator": {"depth": 2}}, "generator.depth = 2 with generator.architecture = 'unet': allowed: from 3"),
        ({"generator": {"weights": "imagenet"}}, "generator.weights = 'imagenet' with generator.architecture = 'unet'"),
        (
            {"generator": {"architecture": "resnet18_unet", "weights": "imagenet", "spectral_norm": True}},
            "generator.weights = 'imagenet' with generator.spectral_norm = true",
        ),
        (
            {"generator": {"chroma_gain": 1.3}},
            "generator.chroma_gain = 1.3 with generator.architecture = 'unet', space = 'lab', head",
        ),
        ({"generator": {"head": "classification"}}, "loss.bins_weight = 0.0 with generator.head = 'classification'"),
        ({"loss": {"bins_weight": 1.0}}, "loss.bins_weight = 1.0 with generator.head = 'regression'"),
        (
            {"generator": {"head": "classification", "space": "rgb"}, "loss": {"bins_weight": 1.0}},
            "generator.head = 'classification' with generator.architecture = 'unet', space = 'rgb': allowed: 'unet'",
        ),
        (
            {"loss": {"adversarial_weight": 0.0}, "training": {"phases": [{"train": "discriminator", "epochs": 1}]}},
            "loss.adversarial_weight = 0.0 with a phase that trains the discriminator",
        ),
        (
            {"generator": {"spectral_norm": True}, "training": {"ema_decay": 0.9}},
            "training.ema_decay = 0.9 with generator.spectral_norm = true",
        ),
        (
            {"training": {"phases": [{"train": "generator", "epochs": 1, "frozen_levels": 2}]}},
            "training.phases.frozen_levels = 2 with generator.architecture = 'unet': only 'timm_unet'",
        ),
        (
            {"training": {"phases": [{"train": "generator", "epochs": 1, "encoder_lr_factor": 0.1}]}},
            "training.phases.encoder_lr_factor = 0.1 with generator.architecture = 'unet': only 'timm_unet'",
        ),
        (
            {"training": {"phases": [{"train": "generator", "epochs": 1, "loss": {"l1": 3}}]}},
            "training.phases.loss.l1: unknown key; allowed: adversarial, adversarial_weight",
        ),
        (
            {"training": {"phases": [{"train": "generator", "epochs": 1, "loss": {"bins_weight": 1.0}}]}},
            "loss.bins_weight = 1.0 with generator.head = 'regression'",
        ),
        (
            {"training": {"phases": [{"train": "generator", "epochs": 1, "loss": {"class_weight": 1.0}}]}},
            "training.phases.loss.class_weight = 1.0: the class branch is there in all phases or in none",
        ),
    ],
)
def test_errors_are_one_line_with_key_value_and_what_is_allowed(change, message):
    with pytest.raises(UserError) as error:
        validated(Row, merged(MINIMAL_ROW, change))
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_default_project_is_valid_and_rows_inherit(tmp_path, pytestconfig):
    project = load_project(pytestconfig.rootpath / "params.yaml")
    rows = project.rows_resolved()
    assert list(rows) == ["gan_l1", "gan_l1_class", "wgan_gp_l2_class"]
    assert rows["gan_l1_class"].loss.l1_weight == project.loss.l1_weight
    assert rows["wgan_gp_l2_class"].loss.l1_weight == 0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"r": {"data": {}}}, "rows.r.data: unknown key; allowed: generator, discriminator, loss, training"),
        ({"r": 3}, "rows.r = 3: allowed is a dict"),
        ({"r": {"loss": {"l3_weight": 1}}}, "rows.r.loss.l3_weight: unknown key; allowed: adversarial"),
        ({}, "rows = {}: "),
        ({"gray": {}}, "rows.gray: allowed names: letters, digits, _ and -; not gray, mean_ab"),
        ({"a b": {}}, "rows.a b: allowed names"),
        (
            {"r": {"generator": {"depth": 7}}},
            "rows.r: generator.depth = 7 with preprocess.image_size = 64: each encoder",
        ),
        ({"r": {"discriminator": {"layers": 6}}}, "rows.r: discriminator.layers = 6 with preprocess.image_size = 64"),
        (
            {"r": {"discriminator": {"architecture": "unet", "layers": 7}}},
            "rows.r: discriminator.layers = 7 with preprocess.image_size = 64",
        ),
        (
            {"r": {"training": {"phases": [{"train": "generator", "epochs": 1, "image_size": 128}]}}},
            "rows.r: training.phases.0.image_size = 128 with preprocess.image_size = 64: photos are not enlarged; "
            "allowed: 16 to 64",
        ),
        (
            {"r": {"training": {"phases": [{"train": "generator", "epochs": 1, "image_size": 8}]}}},
            "rows.r.training.phases.0.image_size = 8: input should be greater than or equal to 16",
        ),
        (
            {"r": {"training": {"phases": [{"train": "generator", "epochs": 1, "image_size": 16}]}}},
            "rows.r: generator.depth = 6 with training.phases.0.image_size = 16: each encoder block halves the size; "
            "allowed: a depth up to 4",
        ),
        ({"r": {"training": {"crop_scale": 0.0}}}, "rows.r.training.crop_scale = 0.0: input should be greater than 0"),
        ({"r": {"loss": {"perceptual_weight": 1.0}}}, "rows.r: loss.perceptual_weight = 1.0 with features.perceptual"),
    ],
)
def test_bad_rows_are_refused_by_name(tmp_path, pytestconfig, rows, message):
    values = yaml.safe_load((pytestconfig.rootpath / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**values, "rows": rows}))
    with pytest.raises(UserError) as error:
        load_project(tmp_path / "params.yaml")
    assert str(error.value).startswith(message)


def test_every_network_that_is_named_can_be_chosen(tmp_path, pytestconfig):
    values = yaml.safe_load((pytestconfig.rootpath / "params.yaml").read_text())
    rows = {
        f"{section}_{name}": {section: {"architecture": name}}
        for section, model in (("generator", Generator), ("discriminator", Discriminator))
        for name in get_args(model.model_fields["architecture"].annotation)
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**values, "rows": rows}))
    assert load_project(tmp_path / "params.yaml").rows_resolved().keys() == rows.keys()


def test_lab_planes_are_those_of_lab_alone(tmp_path, pytestconfig):
    values = yaml.safe_load((pytestconfig.rootpath / "params.yaml").read_text())
    values["evaluate"]["spaces"] = ["rgb", "lab_planes"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**values, "rows": {"r": {"generator": {"space": "hsv"}}}}))
    with pytest.raises(UserError, match=r"rows\.r: generator\.space = 'hsv' with 'lab_planes' in evaluate\.spaces"):
        load_project(tmp_path / "params.yaml")


def test_classes_are_not_drawn_among_splits(tmp_path, pytestconfig):
    values = yaml.safe_load((pytestconfig.rootpath / "params.yaml").read_text())
    values["filter"]["split"], values["data"]["classes"] = "folders", 2
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match=r"^data\.classes = 2 with filter\.split = 'folders': they are drawn among"):
        load_project(tmp_path / "params.yaml")


def test_published_figures_are_of_the_projects_rows(tmp_path, pytestconfig):
    values = yaml.safe_load((pytestconfig.rootpath / "params.yaml").read_text())
    values["published"] = {"gan_l2": {"metrics": {"psnr": 20.0}}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match=r"published\.gan_l2: no such row; allowed: gan_l1, "):
        load_project(tmp_path / "params.yaml")


def test_numbers_are_read_as_dvc_reads_them(tmp_path, pytestconfig):
    text = (pytestconfig.rootpath / "params.yaml").read_text().replace("l1_weight: 100.0", "l1_weight: 1e2")
    (tmp_path / "params.yaml").write_text(text)
    assert load_project(tmp_path / "params.yaml").loss.l1_weight == 100


def test_missing_or_broken_params_file(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        load_project(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [1")
    with pytest.raises(UserError, match="not YAML"):
        load_project(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"generator": {"name": "unet"}}, "generator.name: is now generator.architecture"),
        ({"discriminator": {"name": "unet"}}, "discriminator.name: is now discriminator.architecture"),
        ({"loss": {"clip": 0.1}}, "loss.clip: is now loss.weight_clip"),
        ({"training": {"flip": 0.5}}, "training.flip: is now training.hflip_probability"),
        ({"training": {"degrade": 0.3}}, "training.degrade: is now training.degradation_probability"),
        ({"training": {"ema": 0.9}}, "training.ema: is now training.ema_decay"),
        (
            {"training": {"phases": [{"train": "adversarial", "epochs": 1, "critic_steps": 5}]}},
            "training.phases.0.critic_steps: is now discriminator_steps",
        ),
        (
            {"training": {"phases": [{"train": "critic", "epochs": 1}]}},
            "training.phases.0.train = 'critic': is now 'discriminator'",
        ),
    ],
)
def test_keys_of_earlier_versions_are_refused_with_their_new_names(change, message):
    with pytest.raises(UserError) as error:
        validated(Row, merged(MINIMAL_ROW, change))
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": {"torchvision": True}}, "features.torchvision: is now features.fid_torchvision"),
        ({"published": {"gan_l1": {"figures": {"psnr": 20.0}}}}, "published.gan_l1.figures: is now metrics"),
    ],
)
def test_sections_of_earlier_versions_are_refused_with_their_new_names(tmp_path, pytestconfig, change, message):
    values = yaml.safe_load((pytestconfig.rootpath / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(merged(values, change)))
    with pytest.raises(UserError) as error:
        load_project(tmp_path / "params.yaml")
    assert str(error.value) == message
