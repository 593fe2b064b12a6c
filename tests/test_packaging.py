"""What people install: the wheel holds all, each extra brings what its commands import, every version is pinned."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
import urllib.request
import zipfile
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from conftest import CHECKOUT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
MODEL = "tintype/inference/released/tintype-everyday.onnx"
# In front of a program: modules that are not to be had, as on a machine where they are not installed.
WITHOUT = """
import json, sys
names = frozenset(json.loads(sys.argv.pop(1)))
class Without:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in names else self.finder.find_spec(name, path, target)
sys.meta_path[:] = map(Without, sys.meta_path)
"""


def required(*extras):
    """All that these extras install: the project's requirements, theirs, and so on."""
    todo = [*PROJECT["dependencies"], *(line for extra in extras for line in PROJECT["optional-dependencies"][extra])]
    found = set()
    seen = set()
    while todo:
        requirement = Requirement(todo.pop())
        name = canonicalize_name(requirement.name)
        environments = [{"extra": extra} for extra in requirement.extras or [""]]
        if (name, frozenset(requirement.extras)) in seen:
            continue
        seen.add((name, frozenset(requirement.extras)))
        if name == "tintype":
            todo += [line for extra in requirement.extras for line in PROJECT["optional-dependencies"][extra]]
            continue
        found.add(name)
        for line in metadata.requires(name) or []:
            marker = Requirement(line).marker
            if marker is None or any(marker.evaluate(environment) for environment in environments):
                todo.append(line.partition(";")[0])
    return found


def not_installed(*extras):
    """Top-level modules of this environment that these extras do not bring."""
    there = required(*extras)
    modules = metadata.packages_distributions()
    return sorted(
        module
        for module, distributions in modules.items()
        if module != "tintype" and not there & {canonicalize_name(name) for name in distributions}
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory, stand_in):
    """What wheels are built from. Where the checkout has no released model yet, the stand-in is released there."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, source)
    shutil.copytree(CHECKOUT / "src", source / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    if not (source / "src" / MODEL).is_file():
        command = [sys.executable, "-m", "tintype.project.release", "models/best", "metrics/best.json"]
        env = {**os.environ, "PYTHONPATH": str(source / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
        subprocess.run(command, cwd=stand_in, env=env, check=True, timeout=300)
    return source


@pytest.fixture(scope="module")
def wheel(source):
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", "dist", "."]
    subprocess.run([sys.executable, "-m", "pip", *build], cwd=source, check=True, timeout=300)
    (file,) = (source / "dist").glob("tintype-*.whl")
    return file


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    """The wheel's content, as pip installs it."""
    folder = tmp_path_factory.mktemp("site")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


@pytest.fixture(scope="module")
def installed(site):
    """A way to run a program on the wheel's content where some modules are not to be had."""

    def run(program, *words, without, cwd):
        # HOME: no project around, no caches; the checkout that this environment has installed is not seen, either.
        env = {**os.environ, "PYTHONPATH": str(site), "HOME": str(cwd)}
        env.pop("MLFLOW_TRACKING_URI", None)
        command = [sys.executable, "-c", WITHOUT + program, json.dumps(without), *map(str, words)]
        return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False)

    return run


def test_the_wheel_holds_every_file_of_the_package(source, wheel):
    package = source / "src/tintype"
    files = {path.relative_to(package.parent).as_posix() for path in package.rglob("*") if path.is_file()}
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == {name for name in files if "__pycache__" not in name}
    assert {"tintype/serving/page/index.html", "tintype/serving/examples/CREDITS.md", "tintype/py.typed"} <= held
    assert {MODEL, f"{MODEL}.sha256", str(Path(MODEL).with_name("MODEL_CARD.md"))} <= held


def test_the_wheel_holds_a_model_of_20_mb_at_most_that_is_the_one_released(site):
    file, card = site / MODEL, (site / MODEL).with_name("MODEL_CARD.md").read_text(encoding="utf-8")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert (site / f"{MODEL}.sha256").read_text() == f"{digest}  {file.name}\n"
    assert f"SHA-256 `{digest}`" in card
    assert file.stat().st_size <= 20_000_000
    assert "not measured" not in card.lower()


COMMAND = "from tintype.cli import main; main()"


@pytest.mark.parametrize("words", [[], ["--model", "model.onnx"]], ids=["released", "exported"])
def test_a_model_in_one_file_needs_neither_torch_nor_mlflow_nor_dvc(installed, weights, tmp_path, words):
    from tintype.inference.onnx_export import export_onnx

    export_onnx(weights, tmp_path / "model.onnx")
    Image.radial_gradient("L").resize((83, 61)).save(tmp_path / "photo.png")
    without = not_installed()
    assert {"torch", "torchvision", "mlflow", "dvc", "albumentations", "lightning_fabric", "fastapi", "av"} <= set(
        without
    )
    done = installed(COMMAND, "colorize", "photo.png", "-o", "out", *words, without=without, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "out/photo.png") as color:
        assert (color.mode, color.size) == ("RGB", (83, 61))
        assert np.ptp(np.asarray(color, int), axis=2).max() > 2  # gray would be no color


def test_the_library_colors_by_its_default_on_a_machine_without_torch(installed, tmp_path):
    program = "import numpy as np; from tintype import Colorizer; print(Colorizer.load()(np.eye(40)).shape)"
    done = installed(program, without=not_installed(), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "(40, 40, 3)\n"), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("extras", "program"),
    [
        (
            [],
            "import tintype.inference.model_names; from tintype import Colorizer; assert 'site' in tintype.__file__",
        ),
        (["serve"], "import tintype.serving.app, tintype.serving.server"),
        (["video"], "import tintype.video.flicker, tintype.video.reader"),
        (["torch"], "import tintype.inference.backends.pytorch"),
        (["export"], "import tintype.inference.onnx_export, onnx"),
    ],
    ids=str,
)
def test_an_extra_brings_what_its_part_imports(installed, tmp_path, extras, program):
    done = installed(program, without=not_installed(*extras), cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (["serve", "--port", "0"], "serve"),
        (["colorize", "photo.png", "-o", "out", "--model", "WEIGHTS"], "torch"),
        (["export", "--onnx", "model.onnx", "--model", "WEIGHTS"], "export"),
        (["colorize", "photo.png", "-o", "out", "--model", "models:/colorizer@champion"], "train"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else value,
)
def test_a_part_that_is_not_installed_is_one_line_that_names_its_extra(installed, weights, tmp_path, words, extra):
    Image.new("L", (40, 40)).save(tmp_path / "photo.png")
    words = [str(weights) if word == "WEIGHTS" else word for word in words]
    done = installed(COMMAND, *words, without=not_installed(), cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert re.fullmatch(rf"error: .*pip install 'tintype\[{extra}\]'.*\n", done.stderr), done.stderr


def test_every_version_that_is_installed_is_pinned():
    lines = (CHECKOUT / "constraints.txt").read_text().splitlines()[1:]
    assert lines == sorted(set(lines), key=str.lower)
    pins = dict(line.split("==") for line in lines)
    missing = required("dev") - {canonicalize_name(name) for name in pins} - {"setuptools"}  # torch's; pip keeps it
    assert not missing


@pytest.mark.slow
def test_make_serve_serves_the_released_model_before_anything_was_trained(site, tmp_path):
    for name in ("Makefile", "params.yaml", "dvc.yaml"):
        shutil.copy(CHECKOUT / name, tmp_path)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(site), "PYTHONUNBUFFERED": "1"}
    env.pop("MLFLOW_TRACKING_URI", None)
    command = ["make", "--silent", "-o", "install", "PORT=0", "serve"]  # -o: as if all were installed
    make = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        told = make.stdout.readline()
        assert told.startswith("tintype-everyday: http://127.0.0.1:"), told
        with urllib.request.urlopen(f"{told.split()[1].rstrip('/')}/api/model", timeout=30) as answer:
            model = json.load(answer)
    finally:
        os.killpg(make.pid, signal.SIGINT)
        make.wait(30)
    assert model["name"] == "tintype-everyday"
    assert model["description"]
    assert model["limitations"]
    assert model["metrics"]
