"""Extraction of photos from a tar file, read from front to back. Nothing else in it is written."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Generator, Mapping
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from tintype.errors import UserError


def names_in(archive: Path) -> list[str]:
    """Return the names of the files in the archive, in its order. A leading ``./`` is dropped."""
    with closing(_files(archive, f"list {archive.name}")) as files:
        return [name for name, _, _ in files]


def extract(archive: Path, wanted: Mapping[str, str], out: Path) -> None:
    """Write the members that are keys of `wanted` to the files that are its values, posix paths below `out`.

    Only contents are taken from the archive. No path, link, mode or owner in it can lead out of `out`.

    Raises:
        UserError: the archive lacks a member.
    """
    missing = dict(wanted)
    with closing(_files(archive, f"extract {archive.name}")) as files:
        for name, tar, member in files:
            target = missing.pop(name, None)
            content = None if target is None else tar.extractfile(member)
            if target is not None and content is not None:
                (out / target).parent.mkdir(parents=True, exist_ok=True)
                with content, (out / target).open("wb") as file:
                    shutil.copyfileobj(content, file)
            if not missing:
                break
    if missing:
        raise UserError(f"{archive}: lacks {len(missing)} of {len(wanted)} photos, as {next(iter(missing))!r}")


def _files(archive: Path, shown: str) -> Generator[tuple[str, tarfile.TarFile, tarfile.TarInfo], None, None]:
    """Yield the regular files in the archive. A progress bar counts the bytes read."""
    with (
        archive.open("rb") as raw,
        tarfile.open(fileobj=raw) as tar,
        tqdm(desc=shown, total=archive.stat().st_size, unit="B", unit_scale=True, disable=None) as bar,
    ):
        while (member := tar.next()) is not None:
            # tarfile would keep every member in memory: gigabytes for two million photos.
            tar.members.clear()  # type: ignore[attr-defined]
            if member.isreg():
                yield member.name.removeprefix("./"), tar, member
            bar.update(raw.tell() - bar.n)
