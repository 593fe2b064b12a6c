"""The photos and videos that a user names: files, the files of folders, and those that match a pattern.

One odd file does not end the search. What cannot be read is collected with its reason, and files of other kinds are
counted.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from tintype.errors import UserError
from tintype.images.formats import SUFFIXES
from tintype.video.colorize import SUFFIXES as VIDEO_SUFFIXES

MAGIC = re.compile(r"[*?[]")
ANY_FOLDERS = "**"
IN_COLOR = "-color"
"""Suffix of the names of results if the user names no output."""
RESULT = re.compile(rf"(.+?)({IN_COLOR}(-compare|-\d+)?|-compare)", re.DOTALL)
"""Pattern of the stem of a result's name. Its first group is the stem of the photo, which may be in the same folder."""
ODD_FILES = (
    (stat.S_ISFIFO, "a named pipe, not a file"),
    (stat.S_ISSOCK, "a socket, not a file"),
    (stat.S_ISCHR, "a device, not a file"),
    (stat.S_ISBLK, "a device, not a file"),
)
"""Kinds of files that are never opened, because reading them may wait for ever, and the reason to give."""


class Failed(NamedTuple):
    """A file or folder that is left out, and why."""

    source: Path
    reason: str


@dataclass
class Findings:
    """What has been found."""

    found: dict[str, tuple[Path, Path]] = field(default_factory=dict)
    """Files, with the names that they get in the folder of the results, by their location: each file once."""
    failed: list[Failed] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    """Number of files that are neither photos nor videos, by their suffix in lower case."""

    def note(self, error: OSError) -> None:
        """Note a folder that cannot be read. A pattern may come upon it more than once."""
        failed = Failed(Path(error.filename), error.strerror or str(error))
        if failed not in self.failed:
            self.failed.append(failed)


def search(inputs: Sequence[str], out: Path) -> Findings:
    """Find the photos and videos of all inputs, in the order of the inputs, those of a folder by name.

    Hidden files (macOS adds ``._photo.jpg``), files in `out`, linked folders, and results beside their photos (see
    `RESULT`) are left out.

    Args:
        inputs: files, folders and patterns. A bracket in a pattern also stands for itself, as in ``album [1950]/*``.
        out: folder of the results.
    Raises:
        UserError: an input is the folder of the results.
    """
    findings = Findings()
    for text in inputs:
        for file, name in _find(Path(text), out, findings):
            # a link counts as a photo of its own
            findings.found.setdefault(os.path.join(real(file.parent), file.name), (file, name))  # noqa: PTH118
    return findings


def real(path: Path) -> Path:
    """Return a path without links. Unlike `Path.resolve`, this accepts links that lead in a circle."""
    return Path(os.path.realpath(path))


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder. One that cannot be reached, or whose name is too long, is not."""
    return os.path.isdir(path)  # noqa: PTH112 - `Path.is_dir` raises for such names


def is_file(path: Path) -> bool:
    """Return whether a path is an existing file. A folder is not, and neither is a name that no file can have."""
    return os.path.isfile(path)  # noqa: PTH113 - `Path.is_file` raises for such names


def is_video(path: Path) -> bool:
    """Return whether a file is a video, judged by its name."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def is_known(path: Path) -> bool:
    """Return whether a file is a photo or a video, judged by its name."""
    return path.suffix.lower() in SUFFIXES | VIDEO_SUFFIXES


def why_odd(path: Path) -> str | None:
    """Return why a path cannot be opened as a file, or None if it can.

    A link to nothing can, as far as this function knows: whoever opens it says what is missing.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    except OSError as error:
        return error.strerror or str(error)
    return next((reason for is_kind, reason in ODD_FILES if is_kind(mode)), None)


def _find(path: Path, out: Path, findings: Findings) -> Iterator[tuple[Path, Path]]:
    """Yield files, and the names that they get below `out`."""
    if is_folder(path):
        if real(path) == real(out):
            raise UserError(f"-o {out}: is the folder of the photos; allowed: another one")
        yield from ((file, file.relative_to(path)) for file in _sorted_out(_walk(path, real(out), findings), findings))
    elif os.path.lexists(path):
        if reason := why_odd(path):
            findings.failed.append(Failed(path, reason))
        else:
            yield path, Path(path.name)
    elif MAGIC.search(str(path)):
        fixed, parts = _split(path)
        inside = real(out)
        above = real(fixed).is_relative_to(inside)  # which the plan refuses
        matches = sorted(set(_matches(fixed, parts, findings)))
        kept = (match for match in matches if above or not real(match).is_relative_to(inside))
        yield from ((match, match.relative_to(fixed)) for match in _sorted_out(kept, findings))
    else:
        try:
            path.lstat()
        except FileNotFoundError:
            findings.failed.append(Failed(path, "no such photo, folder or pattern"))
        except OSError as error:
            findings.note(error)


def _walk(folder: Path, but: Path, findings: Findings) -> Iterator[Path]:
    """Yield the files below a folder, by name, without the folder `but`."""
    for place, folders, files in os.walk(folder, onerror=findings.note):
        here = Path(place)
        folders[:] = sorted(name for name in folders if name[0] != "." and real(here / name) != but)
        yield from (here / name for name in sorted(files) if name[0] != ".")


def _sorted_out(files: Iterable[Path], findings: Findings) -> Iterator[Path]:
    """Yield the photos and videos among some files. Note the others, except results of other files in the list."""
    known = []
    for file in files:
        if is_known(file):
            known.append(file)
        else:
            findings.skipped[file.suffix.lower() or "no suffix"] += 1
    photos = {file.with_suffix("") for file in known}
    for file in known:
        match = RESULT.fullmatch(file.stem)
        if match is not None and file.with_name(match[1]) in photos:
            continue
        if reason := why_odd(file):
            findings.failed.append(Failed(file, reason))
        else:
            yield file


def _split(pattern: Path) -> tuple[Path, list[str]]:
    """Split a pattern into the folder before its first wildcard, and the parts from there on."""
    parts = list(pattern.parts)
    fixed = Path()
    while len(parts) > 1 and (not MAGIC.search(parts[0]) or is_folder(fixed / parts[0])):
        fixed /= parts.pop(0)
    return fixed, parts


def _matches(folder: Path, parts: Sequence[str], findings: Findings) -> Iterator[Path]:
    """Yield the files below a folder whose path matches the parts of a pattern."""
    part, *rest = parts
    if part != ANY_FOLDERS and not MAGIC.search(part):
        if rest:
            yield from _matches(folder / part, rest, findings) if is_folder(folder / part) else ()
        elif os.path.lexists(folder / part) and not is_folder(folder / part):
            yield folder / part
        return
    if part == ANY_FOLDERS and rest:
        yield from _matches(folder, rest, findings)
    try:
        entries = [entry for entry in os.scandir(folder) if entry.name[0] != "."]
    except OSError as error:
        findings.note(error)
        return
    for entry in entries:
        if part == ANY_FOLDERS:
            if entry.is_dir(follow_symlinks=False):
                yield from _matches(folder / entry.name, parts, findings)
        elif fnmatchcase(entry.name, part) or fnmatchcase(entry.name, part.replace("[", "[[]")):
            is_dir = is_folder(folder / entry.name)
            if rest and is_dir:
                yield from _matches(folder / entry.name, rest, findings)
            elif not rest and not is_dir:
                yield folder / entry.name
