"""Creation of a project for the user's own photos: params sized to the machine, and a link to the one pipeline."""

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
"""Training settings in which a project that starts from the released model differs from it.

The epochs are then sized to the machine.
"""
NOT_IN_COMMANDS = frozenset('"$`\\\n')
"""Characters that no path within the double quotes of the stages' commands may have."""
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

    The params are the default project's, including the comments, with the photos filled in. Training is sized to take
    about `minutes` for all rows, by the measured speed of a training step on this machine. With `fine_tune`, there is
    one row. It starts from the released model and trains like that model did, but gently.

    Returns:
        A message for the user.
    Raises:
        UserError: the photos do not exist, the folder is already a project, or there is no checkout.
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
    # Relative only if both move with the checkout, because an experiment runs in a copy of it.
    origin = _way(photos, folder) if inside else str(photos.resolve())
    params.ca.comment = None  # the default project's header
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
    """Use the released model's own settings, and start from its weights."""
    released = yaml_files.read(CHECKOUT / "tables" / "everyday" / "params.yaml")
    for section in ("preprocess", "generator", "discriminator", "loss", "training"):
        params[section] = released[section]
    params["generator"]["weights"] = "everyday"
    params["training"] |= deepcopy(FINE_TUNING)  # sizing changes the epochs in place
    params["rows"] = {"fine_tuned": {}}


def _replace(section: Any, values: Mapping[str, Any]) -> None:
    """Set the values that are not None. Keep the rest and all comments."""
    for key, value in values.items():
        if value is not None:
            section[key] = value


def _way_to_checkout(folder: Path) -> str:
    """Return the path to the checkout: relative inside it, so that the project moves with it, else absolute."""
    if folder.resolve().is_relative_to(CHECKOUT):
        return _way(CHECKOUT, folder)
    if found := NOT_IN_COMMANDS.intersection(str(CHECKOUT)):
        raise UserError(
            f"{CHECKOUT}: the checkout's path has {' '.join(sorted(found))}, which shells take for their own"
        )
    return str(CHECKOUT)


def _way(target: Path, start: Path) -> str:
    return Path(os.path.relpath(target.resolve(), start.resolve())).as_posix()


def slug(name: str) -> str:
    """Turn a folder's name into a part of other names: lowercase letters, digits and ``-``."""
    return "".join(letter if letter.isalnum() else "-" for letter in name).strip("-").lower() or "project"


def _drop_classes(params: Any) -> None:
    """Remove the class loss of all rows, and each row that is then the same as another."""
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
    """Add what git should ignore to a .gitignore that may have other lines."""
    present = file.read_text().splitlines() if file.exists() else []
    file.write_text("\n".join([*present, *(line for line in IGNORED if line not in present)]) + "\n")


def _init_dvc(folder: Path) -> None:
    """Run `dvc init`, with ``--subdir`` below the root of a git checkout, and with ``--no-scm`` outside of git."""

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
