"""What people install: the wheel holds all, each extra brings what its commands import, every version is pinned."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from conftest import CHECKOUT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
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
def wheel(tmp_path_factory):
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, source)
    shutil.copytree(CHECKOUT / "src", source / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", "dist", "."]
    subprocess.run([sys.executable, "-m", "pip", *build], cwd=source, check=True, timeout=300)
    (file,) = (source / "dist").glob("tintype-*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The wheel's content, and a way to run a program on it where some modules are not to be had."""
    folder = tmp_path_factory.mktemp("site")
    zipfile.ZipFile(wheel).extractall(folder)

    def run(program, *words, without, cwd):
        # HOME: no lab around, no caches; the checkout that this environment has installed is not seen, either.
        env = {**os.environ, "PYTHONPATH": str(folder), "HOME": str(cwd)}
        env.pop("MLFLOW_TRACKING_URI", None)
        command = [sys.executable, "-c", WITHOUT + program, json.dumps(without), *map(str, words)]
        return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False)

    return run


def test_the_wheel_holds_every_file_of_the_package(wheel):
    package = CHECKOUT / "src/tintype"
    files = {path.relative_to(package.parent).as_posix() for path in package.rglob("*") if path.is_file()}
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == {name for name in files if "__pycache__" not in name}
    assert {"tintype/serving/page/index.html", "tintype/serving/examples/CREDITS.md", "tintype/py.typed"} <= held


COMMAND = "from tintype.cli import main; main()"


def test_an_exported_model_needs_neither_torch_nor_mlflow_nor_dvc(installed, weights, tmp_path):
    from tintype.colorize.export import export_onnx

    export_onnx(weights, tmp_path / "model.onnx")
    Image.radial_gradient("L").resize((83, 61)).save(tmp_path / "photo.png")
    without = not_installed()
    assert {"torch", "torchvision", "mlflow", "dvc", "albumentations", "lightning_fabric", "fastapi", "av"} <= set(
        without
    )
    words = ["colorize", "photo.png", "-o", "out", "--model", "model.onnx"]
    done = installed(COMMAND, *words, without=without, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "out/photo.png") as colour:
        assert (colour.mode, colour.size) == ("RGB", (83, 61))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("extras", "program"),
    [
        ([], "import tintype.colorize.locate, sys; from tintype import Colorizer; assert 'site' in tintype.__file__"),
        (["serve"], "import tintype.serving.app, tintype.serving.server"),
        (["video"], "import tintype.colorize.flicker, tintype.colorize.video_files"),
        (["torch"], "import tintype.colorize.backends.pytorch"),
        (["export"], "import tintype.colorize.export, onnx"),
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
        (["colorize", "photo.png", "-o", "out", "--model", "models:/colorizer@champion"], "lab"),
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
def test_make_serve_without_a_model_says_how_to_make_one(tmp_path):
    for name in ("Makefile", "params.yaml", "dvc.yaml"):
        shutil.copy(CHECKOUT / name, tmp_path)
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    env.pop("MLFLOW_TRACKING_URI", None)
    done = subprocess.run(  # -o: as if all were installed
        ["make", "-o", "install", "PORT=0", "serve"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert re.search(r"error: models:/colorizer@champion: there is no MLflow store .*; `make repro`", done.stderr)
