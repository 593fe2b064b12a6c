"""A project's own MLflow store lies in its folder, whatever the folder is called."""

import subprocess
import sys
from pathlib import Path

import pytest

from tintype.errors import UserError
from tintype.project import init
from tintype.tracking.location import database_of
from tintype.tracking.store import has_store, store_uri

NAMES = ["a b", "a%20b", "a#b", "a?b", "a&b=c", 'a"b', "a$HOME", "a;b", "größe"]
TRACK = """
import sys
from pathlib import Path
from tintype.tracking.runs import Tracker
tracker = Tracker(Path(sys.argv[1]), Path(sys.argv[1]))
run = tracker.client.create_run(tracker.experiment)
tracker.client.log_text(run.info.run_id, "1", "one.txt")
"""


@pytest.fixture(autouse=True)
def no_server(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.mark.parametrize("name", NAMES)
def test_the_address_leads_to_the_file(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    uri = store_uri(folder)
    assert not has_store(uri)
    (folder / "mlflow.db").touch()
    assert has_store(uri)
    assert database_of(uri) == folder / "mlflow.db"


def test_runs_of_a_project_never_go_into_another_ones_store(tmp_path):
    """MLflow itself, in a folder whose name an address spells as that of the other folder."""
    (tmp_path / "a b").mkdir()
    folder = tmp_path / "a%20b"
    folder.mkdir()
    subprocess.run([sys.executable, "-c", TRACK, str(folder)], check=True, timeout=300)
    assert (folder / "mlflow.db").stat().st_size > 0
    assert len(list((folder / "mlartifacts").rglob("one.txt"))) == 1
    assert list((tmp_path / "a b").iterdir()) == []


@pytest.mark.parametrize("character", ['"', "$", "`", "\\"])
def test_a_checkout_whose_path_breaks_the_stages_commands_is_refused(tmp_path, monkeypatch, character):
    checkout = tmp_path / f"a{character}b"
    checkout.mkdir()
    (checkout / "dvc.yaml").touch()
    (checkout / "params.yaml").write_bytes((Path(init.__file__).parents[3] / "params.yaml").read_bytes())
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "one.jpg").touch()
    monkeypatch.setattr(init, "CHECKOUT", checkout)
    with pytest.raises(UserError, match=r"the checkout's path has .*, which shells take"):
        init.make_project(tmp_path / "project", photos=photos, labels=None, limit=None, minutes=1)
    assert not (tmp_path / "project").exists()
