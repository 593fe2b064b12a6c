"""Which code a stage runs, found by following imports: nothing that it runs is missing, and only meaning counts."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import yaml
from conftest import CHECKOUT

from tintype.closure import NOT_FOLLOWED, PACKAGE, closure, code_hash, stage_entries
from tintype.errors import UserError

FILES = {
    "main.py": "import helper\nfrom pack.a import f\n",
    "helper.py": "import json\n",
    "pack/__init__.py": "from pack.start import x\n\ndef later():\n    from pack.unused import y\n",
    "pack/start.py": "x = 1\n",
    "pack/unused.py": "y = 1\n",
    "pack/types.py": "T = int\n",
    "pack/a/__init__.py": (
        '"""Words."""\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pack.types import T\n\n'
        "def f(x: int) -> int:\n    from pack import b\n    return b.g(x)  # why\n"
    ),
    "pack/b.py": "import pack.c\n\ndef g(x):\n    return pack.c.h(x, 1)\n",
    "pack/c.py": "class C:\n    '''Words.'''\n\ndef h(x, y):\n    '''More.'''\n    return f'{x} {y}'\n",
}


@pytest.fixture
def tree(tmp_path):
    for path, text in FILES.items():
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(text)
    return tmp_path


def hashed(tree):
    return code_hash(tree / "main.py", package=tree / "pack")


def test_imports_are_followed_into_functions_and_not_into_types(tree):
    found = {str(file.relative_to(tree)) for file in closure(tree / "main.py", package=tree / "pack")}
    # Of a package that is only on the way, what its import runs: pack.unused is not among it.
    assert found == {
        *("main.py", "helper.py", "pack/__init__.py", "pack/start.py", "pack/a/__init__.py", "pack/b.py", "pack/c.py"),
    }
    (tree / "main.py").write_text("import pack\n")
    found = {file.name for file in closure(tree / "main.py", package=tree / "pack")}
    assert "unused.py" in found


@pytest.mark.parametrize(
    ("path", "old", "new", "same"),
    [
        ("pack/c.py", "'''Words.'''", "'''Better words.'''", True),
        ("pack/c.py", "    '''More.'''\n", "", True),
        ("pack/a/__init__.py", "  # why", "  # because", True),
        ("pack/b.py", "pack.c.h(x, 1)", "pack.c.h(\n        x,\n        1,\n    )", True),
        ("pack/types.py", "int", "float", True),
        ("pack/unused.py", "1", "2", True),
        ("pack/b.py", "1", "2", False),
        ("pack/c.py", "{y}", "{y:.2f}", False),
        ("pack/start.py", "1", "1.0", False),
        ("helper.py", "json", "math", False),
    ],
)
def test_meaning_alone_counts(tree, path, old, new, same):
    before, file = hashed(tree), tree / path
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    assert (hashed(tree) == before) == same


def test_a_file_that_is_renamed_is_another(tree):
    before = hashed(tree)
    (tree / "pack/c.py").rename(tree / "pack/d.py")
    (tree / "pack/b.py").write_text(FILES["pack/b.py"].replace("pack.c", "pack.d"))
    assert hashed(tree) != before


@pytest.mark.parametrize(
    ("text", "why"), [("def f(:\n", r"c\.py: .*line 1"), ("from . import b\n", r"c\.py: line 1: a relative import")]
)
def test_what_cannot_be_followed_is_named(tree, text, why):
    (tree / "pack/c.py").write_text(text)
    with pytest.raises(UserError, match=why):
        hashed(tree)


def test_every_stage_of_the_pipeline_depends_on_its_own_code():
    stages = yaml.safe_load((CHECKOUT / "dvc.yaml").read_text())["stages"]
    depends = {
        name: [dep for dep in stage.get("do", stage)["deps"] if dep.startswith("data/code/")]
        for name, stage in stages.items()
    }
    assert depends.pop("hash_code") == []
    assert depends == {name: [f"data/code/{name}.sha256"] for name in stage_entries(CHECKOUT)}


def files_of(package, module):
    """A module's file, or all of a package's."""
    path = package.joinpath(*module.split(".")[1:])
    return list(path.glob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


def names(*entries):
    return {file.relative_to(PACKAGE).as_posix() for file in closure(*entries) if file.is_relative_to(PACKAGE)}


def test_an_edit_reaches_the_stages_that_it_concerns():
    """A metric measures again, a loss trains again, a name of a metric neither."""
    of = {name: names(*entries) for name, entries in stage_entries(CHECKOUT).items()}
    assert {name for name in of if "metrics/pixels.py" in of[name]} == {"evaluate", "baselines", "register"}
    assert {name for name in of if "losses/adversarial.py" in of[name]} == {"train"}
    assert {name for name in of if "data/sources/folder.py" in of[name]} == {"download"}
    assert {name for name in of if "report/table.py" in of[name]} == {"report", "register"}
    assert {name for name in of if "tracking/runs.py" in of[name]} == {"register"}
    assert not {name for name in of if "closure.py" in of[name]}  # else an edit there would train again
    assert not {name for name in of if any(file.startswith("config/") for file in of[name])}
    for module in NOT_FOLLOWED:
        assert files_of(PACKAGE, module)


RUN = """
import json, os, runpy, sys
sys.argv = sys.argv[1:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    with open("imported.json", "w") as file:
        json.dump(sorted(filter(None, files)), file)
"""


@pytest.mark.slow
def test_a_stage_imports_nothing_that_is_not_counted(finished_project, tmp_path):
    """Each stage runs again in a copy of a finished project, and says what it imported."""
    root = tmp_path / "project"
    shutil.copytree(finished_project.root, root, symlinks=True, ignore=shutil.ignore_patterns(".git", "cache"))
    lock = yaml.safe_load((root / "dvc.lock").read_text())["stages"]
    package = root / "src/tintype"
    ran = set()
    for stage in lock.values():
        script, *paths = stage["cmd"].replace('"', "").split()[1:]
        name = script.split("/")[-1].removesuffix(".py")
        if name in ran or name == "hash_code":
            continue
        ran.add(name)
        for out in stage["outs"]:
            path = root / out["path"]
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        environment = {**os.environ, "DVC_ROOT": str(root), "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
        subprocess.run([sys.executable, "-c", RUN, script, *paths], cwd=root, env=environment, check=True)
        files = map(os.path.normpath, json.loads((root / "imported.json").read_text()))
        imported = {file for file in files if file.startswith(str(root))}
        counted = {str(file) for file in closure(*stage_entries(root)[name], package=package)}
        beside = {str(file) for module in NOT_FOLLOWED for file in files_of(package, module)}
        beside |= {str(file) for file in closure(*(package / "tracking").glob("*.py"), package=package)}
        assert imported - counted <= beside, name
        assert {str(package / "__init__.py")} <= imported, name
    assert ran == set(stage_entries(CHECKOUT))
