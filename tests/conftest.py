"""A tiny project, run once through real DVC and MLflow in a copy of the checkout, for the pipeline tests to look at."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
import yaml
from preloaded import preloaded_python

CHECKOUT = Path(__file__).resolve().parents[1]
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
# Tests run side by side: threads of several processes that wait for each other on the same cores make all crawl.
os.environ["OMP_NUM_THREADS"] = "1"
# A server that the developer works with is none of the tests' business.
os.environ.pop("MLFLOW_TRACKING_URI", None)


@pytest.fixture(scope="module", autouse=True)
def no_store_is_handed_on() -> Iterator[None]:
    """MLflow writes the store that a test used last into the environment, and the next project would log there."""
    yield
    os.environ.pop("MLFLOW_TRACKING_URI", None)


TINY = {
    "filter": {"min_side": 16, "test": 0.25, "validation": 0.1},
    "preprocess": {"image_size": 32},
    "generator": {"filters": 4, "depth": 4},
    "discriminator": {"filters": 4, "layers": 1},
    "training": {"batch_size": 8, "phases": [{"train": "adversarial", "epochs": 2, "lr": 0.001}]},
    "rows": {
        "gan_l1": {},
        "wgan_gp_l2_class": {
            "discriminator": {"norm": "none"},
            "loss": {
                "adversarial": "wgan_gp",
                "adversarial_weight": 0.1,
                "l1_weight": 0.0,
                "l2_weight": 1.0,
                "class_weight": 0.003,
            },
            "training": {
                "phases": [
                    {"train": "generator", "epochs": 1, "lr": 0.001},
                    {"train": "adversarial", "epochs": 1, "discriminator_steps": 2},
                ]
            },
        },
    },
}


class Project:
    """A project's folder, and the commands that its user types there."""

    ahead: ClassVar[list[str]] = []
    """Folders that come first in PATH: of a `python` that starts at once, where a test asked for it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of this environment in the project."""
        folders = [*self.ahead, str(Path(sys.executable).parent), os.environ["PATH"]]
        env = {**os.environ, "PATH": os.pathsep.join(folders), "DVC_NO_ANALYTICS": "1"}
        env.pop("PYTHONPATH", None)
        done = subprocess.run(words, cwd=self.root, env=env, capture_output=True, text=True, timeout=900)
        assert not check or done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done

    def params(self) -> dict:
        return yaml.safe_load((self.root / "params.yaml").read_text())

    def change_params(self, changes: dict) -> None:
        from tintype.config import merged

        values = merged(self.params(), {key: value for key, value in changes.items() if key != "rows"})
        if "rows" in changes:
            values["rows"] = changes["rows"]
        self.write_params(values)

    def write_params(self, values: dict) -> None:
        (self.root / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))

    def commit(self, message: str) -> None:
        self.run("git", "add", "-A")
        self.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", message)


def write_tolerances(project: Project, metrics: dict[str, dict[str, float]], *, relative: float) -> None:
    """A ``gate.yaml`` for the rows of `metrics`, baselines and all: a hundredth, and a share of each value."""
    tolerances = {
        row: {name: 0.01 + relative * abs(value) for name, value in values.items()} for row, values in metrics.items()
    }
    gate = {"too_good": 10.0, "measured": {"seeds": 0}, "tolerances": tolerances}
    (project.root / "gate.yaml").write_text(yaml.safe_dump(gate, sort_keys=False))


def copy_of_checkout(target: Path) -> Project:
    """The working tree's files (what git tracks or would), in a git repository of its own."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (CHECKOUT / name).is_file() and name != "dvc.lock":
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CHECKOUT / name, target / name, follow_symlinks=False)
    project = Project(target)
    project.run("git", "init", "-q", "-b", "main")
    project.run("git", "config", "user.name", "t")
    project.run("git", "config", "user.email", "t@example.org")
    return project


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ninety drawn photos in class folders, the planted bad ones among them."""
    from tintype.data.sample import draw_sample

    folder = tmp_path_factory.mktemp("photos")
    draw_sample(folder, seed=3, photos=90)
    return folder


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved generator that has learned nothing: its colors are nonsense, but strong, and always the same."""
    import torch

    from tintype.config import Generator
    from tintype.models import build_generator, save_generator

    folder = tmp_path_factory.mktemp("weights") / "row"
    config = Generator(filters=4, depth=4, dropout=0.5)
    torch.manual_seed(1)
    generator = build_generator(config, 0, 32)
    with torch.no_grad():
        for weight in generator.to_chroma.parameters():
            weight.mul_(30)  # colors that can be seen
    save_generator(folder, generator, config=config, classes=[], image_size=32)
    return folder


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator that could be the released model, and its metrics, with gray's beside them, in ``metrics/``."""
    import torch

    from tintype.config import Generator
    from tintype.models import build_generator, save_generator

    project = tmp_path_factory.mktemp("everyday")
    config = Generator(architecture="timm_unet", filters=8)
    torch.manual_seed(5)
    generator = build_generator(config, 0, 64).train()
    with torch.no_grad():
        for _ in range(5):  # statistics that are not those of a fresh network
            generator(torch.rand(4, 1, 64, 64) * 2 - 1)
        generator.to_chroma[0].weight.mul_(0.2)  # colors as photos have them
    save_generator(project / "models/best", generator, config=config, classes=[], image_size=64)
    (project / "metrics").mkdir()
    (project / "metrics/best.json").write_text(json.dumps({"psnr_pooled": 22.471, "ciede2000": 9.876}))
    (project / "metrics/gray.json").write_text(json.dumps({"psnr_pooled": 20.912, "ciede2000": 10.844}))
    return project


@pytest.fixture(scope="session")
def room(stand_in: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the stand-in lies as the released model, made by the command that releases."""
    from tintype.inference import released
    from tintype.project import release

    folder = tmp_path_factory.mktemp("released")
    shutil.copy(released.card_file(), folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(released, "ROOM", folder)
        release.release(stand_in / "models/best", stand_in / "metrics/best.json")
    return folder


@pytest.fixture
def everyday(room: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The released model's file, for this test the stand-in's."""
    from tintype.inference import released

    monkeypatch.setattr(released, "ROOM", room)
    return released.path_of_released()


@pytest.fixture(scope="session")
def stages_start_at_once() -> Iterator[None]:
    """From here on, those of `Project.run`: their imports are most of a tiny project's time."""
    with preloaded_python() as folder:
        Project.ahead.append(folder)
        yield
        Project.ahead.remove(folder)


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Files that run whole pipelines come first: else one worker has them all at the end, and the others wait."""

    def runs_a_pipeline(item: pytest.Function) -> bool:
        return "finished_project" in item.fixturenames or "copy_of_checkout" in vars(item.module)

    long = {item.path for item in items if runs_a_pipeline(item)}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session")
def finished_project(tmp_path_factory: pytest.TempPathFactory, photos: Path, stages_start_at_once: None) -> Project:
    """The tiny project after its first `dvc repro`, committed."""
    project = copy_of_checkout(tmp_path_factory.mktemp("project"))
    (project.root / "gate.yaml").unlink()  # the default project's tolerances are not this one's
    project.change_params({**TINY, "data": {"source": "folder", "origin": str(photos)}})
    project.commit("tiny project")
    project.run("dvc", "repro")
    project.commit("tiny project, reproduced")
    return project
