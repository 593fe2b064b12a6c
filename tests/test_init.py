"""Projects for one's own photos, made by the command, up to the first stages; CI runs one whole on real photos."""

import json
import shutil
import sys

import pytest
import yaml
from conftest import Project, copy_of_checkout

from tintype.config import load_project

INIT = "import sys; from tintype.cli import main; sys.argv[0] = 'tintype'; main()"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy that projects may be made in."""
    return copy_of_checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def init(checkout):
    """`tintype init` of the copy, not of the installed one."""

    def call(*words, check=True):
        code = f"import sys; sys.path.insert(0, {str(checkout.root / 'src')!r}); {INIT}"
        return checkout.run(sys.executable, "-c", code, "init", *map(str, words), check=check)

    return call


def test_a_project_outside_any_git_repository(init, checkout, photos, tmp_path):
    project = tmp_path / "my project"
    told = init(project, "--photos", photos, "--limit", 60, "--minutes", 0.5).stdout
    assert "a project of 60 photos in 8 classes, rows gan_l1, gan_l1_class, wgan_gp_l2_class" in told
    values = load_project(project / "params.yaml")
    assert values.data.origin == str(photos)
    assert values.register_.model == "colorizer-my-project"
    assert "no_scm = True" in (project / ".dvc/config").read_text()
    assert (project / "dvc.yaml").resolve() == checkout.root / "dvc.yaml"
    assert "default project" not in (project / "params.yaml").read_text()
    assert not (project / "gate.yaml").exists()  # the default project's tolerances were measured on other photos

    again = Project(project)
    again.run("dvc", "repro", "filter")
    assert (project / "data/curated/manifest.csv").is_file()
    assert "up to date" in again.run("dvc", "repro", "filter").stdout


def test_a_project_inside_the_checkout_shares_its_cache_and_flat_photos_lose_the_class_rows(
    init, checkout, photos, tmp_path
):
    flat = tmp_path / "flat"
    flat.mkdir()
    for photo in sorted(photos.glob("meadow/[0-9]*.jpg")):
        shutil.copy(photo, flat)
    told = init("projects/flat", "--photos", flat, "--minutes", 0.5).stdout
    assert "in 0 classes, rows gan_l1, wgan_gp_l2" in told
    project = checkout.root / "projects/flat"
    rows = load_project(project / "params.yaml").rows_resolved()
    assert list(rows) == ["gan_l1", "wgan_gp_l2"]
    assert all(row.loss.class_weight == 0 for row in rows.values())
    assert yaml.safe_load((project / "params.yaml").read_text())["repo"] == "../.."
    assert Project(project).run("dvc", "cache", "dir").stdout.strip() == str(checkout.root / ".dvc/cache")
    assert "projects" not in checkout.run("dvc", "status").stdout
    shutil.rmtree(checkout.root / "projects")


def test_a_project_that_starts_from_the_released_model(init, checkout, photos, tmp_path):
    project = tmp_path / "fine"
    told = init(project, "--photos", photos, "--limit", 60, "--minutes", 0.5, "--fine-tune").stdout
    assert "rows fine_tuned" in told
    row = load_project(project / "params.yaml").row("fine_tuned")
    ours = load_project(checkout.root / "tables/everyday/params.yaml").row("everyday")
    assert row.generator == ours.generator.model_copy(update={"weights": "everyday"})
    assert row.training.phases[0].lr < ours.training.phases[0].lr
    assert (row.training.precision, row.training.batch_size) == ("auto", 16)


def test_a_tree_that_is_split_keeps_its_split(init, photos, tmp_path):
    tree = tmp_path / "tree"
    for number, photo in enumerate(sorted(photos.glob("meadow/[0-9]*.jpg"))[:8]):
        place = tree / ("test" if number % 4 == 0 else "train") / "meadow"
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, place)
    told = init(tmp_path / "project", "--photos", tree, "--minutes", 0.5).stdout
    assert "a project of 8 photos in 1 classes" in told
    assert "photos keep the split of their folders (filter.split: folders): 2 in test, 6 in train" in told
    assert load_project(tmp_path / "project/params.yaml").filter.split == "folders"
    Project(tmp_path / "project").run("dvc", "repro", "filter")
    summary = json.loads((tmp_path / "project/data/curated/summary.json").read_text())
    assert summary["photos"]["test"] == 2
    assert summary["classes"] == ["meadow"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["new", "--photos", "nowhere"], "error: --photos nowhere: no such folder"),
        (["new", "--photos", "no_photos"], "error: data.origin = "),
        ([".", "--photos", "no_photos"], "error: .: has a params.yaml already"),
    ],
)
def test_what_cannot_be_is_one_line(init, words, message, checkout):
    (checkout.root / "no_photos").mkdir(exist_ok=True)
    (checkout.root / "no_photos/notes.txt").write_text("not a photo")
    done = init(*words, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(message)
    assert "Traceback" not in done.stderr
    assert not (checkout.root / "new").exists()
