"""A project for one's own photos: params sized to the machine, beside the one pipeline definition."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from tintype.config import load_project
from tintype.errors import UserError
from tintype.git import git
from tintype.paths import CHECKOUT
from tintype.project import yaml_files
from tintype.project.training_budget import fit_to_machine

HEADER = """\
A project made by `tintype init`. What each key means and allows: docs/reference/params.md in tintype's checkout.
Every row inherits generator, discriminator, loss and training, and overrides what it names under `rows`."""
FINE_TUNING = {
    "batch_size": 16,  # a few hundred photos give few steps
    "ema_decay": 0.995,
    "precision": "auto",  # a CPU may have no fast bfloat16
    "phases": [
        {
            "train": "generator",
            "epochs": 10,
            "lr": 2e-4,
            "schedule": "cosine",
            "lr_final": 1e-6,
            "betas": [0.9, 0.99],
            "frozen_levels": 2,
            "encoder_lr_factor": 0.2,
        }
    ],
}
"""How a project that starts from the released model trains otherwise; its epochs are sized to the machine."""
IGNORED = ("/.tintype", "/dvc_plots", "/report/registered.json")


def make_project(
    folder: Path,
    *,
    photos: Path,
    labels: str | None,
    limit: int | None,
    minutes: float,
    fine_tune: bool = False,
) -> str:
    """Write ``params.yaml``, ``dvc.yaml`` (a link to the checkout's) and ``.dvc`` into `folder`.

    The params are the default project's, comments and all, with the photos named and the training sized: to about
    `minutes` for all rows, by the measured speed of a training step on this machine. With `fine_tune` there is one row,
    which starts from the released model and trains as that was trained, but gently.

    Returns:
        What to tell the user.
    Raises:
        UserError: for photos that are not there, a folder that is a project already, a checkout that is not there.
    """
    if not photos.is_dir():
        raise UserError(f"--photos {photos}: no such folder")
    for name in ("params.yaml", "dvc.yaml", ".dvc"):
        if (folder / name).exists():
            raise UserError(f"{folder}: has a {name} already; choose another folder or remove it")
    if not (CHECKOUT / "dvc.yaml").exists():
        raise UserError(
            f"{CHECKOUT}: tintype's checkout (dvc.yaml, stages/) is not here; install it with `pip install -e`"
        )

    from tintype.data.sources import count_photos  # it imports the imaging libraries

    found = count_photos(photos, labels)
    number = min(found.photos, limit or found.photos)
    params = yaml_files.read(CHECKOUT / "params.yaml")
    repo = _way_to_checkout(folder)
    inside = folder.resolve().is_relative_to(CHECKOUT) and photos.resolve().is_relative_to(CHECKOUT)
    # Relative only where both move with the checkout: an experiment runs in a copy of it.
    origin = _way(photos, folder) if inside else str(photos.resolve())
    params.ca.comment = None  # the default project's opening words
    params.yaml_set_start_comment(HEADER)
    params["repo"] = repo
    _replace(params["data"], {"source": "folder", "origin": origin, "labels": labels, "limit": limit})
    if found.splits:
        params["filter"]["split"] = "folders"
    params["register"]["model"] = f"colorizer-{slug(folder.resolve().name)}"
    if fine_tune:
        _start_from_released(params)
    elif found.classes < 2:
        _drop_classes(params)
    splits = {split: round(count * number / found.photos) for split, count in found.splits.items()}
    told = fit_to_machine(params, number, splits, found.classes, minutes)

    folder.mkdir(parents=True, exist_ok=True)
    _init_dvc(folder)
    (folder / "dvc.yaml").symlink_to(f"{repo}/dvc.yaml")
    _ignore(folder / ".gitignore")
    yaml_files.write(params, folder / "params.yaml")
    load_project(folder / "params.yaml")
    kept = ", ".join(f"{count} in {split}" for split, count in splits.items())
    keeps = f"photos keep the split of their folders (filter.split: folders): {kept}\n" if splits else ""
    return (
        f"{folder}: a project of {number} photos in {found.classes} classes, rows {', '.join(params['rows'])}\n"
        f"{keeps}{told}\n"
        f"next: cd {folder} && dvc repro"
    )


def _start_from_released(params: Any) -> None:
    """The released model's own choices, and its weights to start from."""
    released = yaml_files.read(CHECKOUT / "tables" / "everyday" / "params.yaml")
    for section in ("preprocess", "generator", "discriminator", "loss", "training"):
        params[section] = released[section]
    params["generator"]["weights"] = "everyday"
    params["training"] |= deepcopy(FINE_TUNING)  # sizing changes the epochs in place
    params["rows"] = {"fine_tuned": {}}


def _replace(section: Any, values: Mapping[str, Any]) -> None:
    """Set what is not None, keep the rest and all comments."""
    for key, value in values.items():
        if value is not None:
            section[key] = value


def _way_to_checkout(folder: Path) -> str:
    """Relative inside the checkout, so that the project moves with it; absolute elsewhere."""
    inside = folder.resolve().is_relative_to(CHECKOUT)
    return _way(CHECKOUT, folder) if inside else str(CHECKOUT)


def _way(target: Path, start: Path) -> str:
    return Path(os.path.relpath(target.resolve(), start.resolve())).as_posix()


def slug(name: str) -> str:
    """A folder's name as a part of others: small letters, digits and ``-``."""
    return "".join(letter if letter.isalnum() else "-" for letter in name).strip("-").lower() or "project"


def _drop_classes(params: Any) -> None:
    """Rows without their class loss; a row that is then the same as another goes."""
    rows = params["rows"]
    kept: dict[str, Any] = {}
    for name in list(rows):
        overrides = dict(rows[name] or {})
        loss = {key: value for key, value in dict(overrides.pop("loss", {})).items() if key != "class_weight"}
        overrides = {**({"loss": loss} if loss else {}), **overrides}
        if overrides not in kept.values():
            kept[name.removesuffix("_class")] = overrides
    params["rows"] = kept


def _ignore(file: Path) -> None:
    """Add what git should not see to a .gitignore that may have other lines."""
    present = file.read_text().splitlines() if file.exists() else []
    file.write_text("\n".join([*present, *(line for line in IGNORED if line not in present)]) + "\n")


def _init_dvc(folder: Path) -> None:
    """`dvc init` as the place asks for: a sub-repository inside a git checkout, else without git."""

    def dvc(*words: str) -> None:
        done = subprocess.run([sys.executable, "-m", "dvc", *words], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise UserError(f"{folder}: dvc {words[0]} failed: {done.stderr.strip().splitlines()[-1]}")

    top = git(folder, "rev-parse", "--show-toplevel")
    place = "--no-scm" if top is None else None if Path(top) == folder.resolve() else "--subdir"
    dvc("init", "-q", *filter(None, [place]))
    if folder.resolve().is_relative_to(CHECKOUT):
        dvc("cache", "dir", "-q", f"{_way(CHECKOUT, folder)}/.dvc/cache")
    dvc("config", "-q", "core.analytics", "false")
    dvc("config", "-q", "core.check_update", "false")
    dvc("config", "-q", "plots.html_template", "../report/page.html")
