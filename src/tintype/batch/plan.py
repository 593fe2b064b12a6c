"""Which photos are to be colorized, and which files they become: decided, and refused, before any work."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tintype.errors import UserError
from tintype.images.formats import SAME, SUFFIXES, WRITABLE
from tintype.video.colorize import SUFFIXES as VIDEO_SUFFIXES

MAGIC = re.compile(r"[*?[]")
IN_COLOR = "-color"
"""Ends the name of what is written where the user names no place."""
RESULT = re.compile(rf"(.+?)({IN_COLOR}(-compare|-\d+)?|-compare)")
"""The stem of a result's name, and of the photo's that it may lie beside."""


@dataclass(frozen=True)
class Task:
    """One photo or video, and the files it becomes."""

    source: Path
    results: tuple[Path, ...]
    """One, or one a sample."""
    compare: Path | None = None
    """The photo beside its results."""
    format: str = SAME

    @property
    def is_video(self) -> bool:
        """Whether it is one, by its name."""
        return _is_video(self.source)

    @property
    def outputs(self) -> tuple[Path, ...]:
        """All that is written."""
        return self.results if self.compare is None else (*self.results, self.compare)

    @property
    def done(self) -> bool:
        """Whether all is there; what is there is whole."""
        return all(is_there(path) for path in self.outputs)


@dataclass(frozen=True)
class Plan:
    """What is to be done."""

    tasks: list[Task]
    folder: Path | None
    """That all results are in; None where the result is a file that the user named, or beside the photo."""


def plan(
    inputs: Sequence[str],
    out: Path | None = None,
    *,
    format: str = SAME,
    samples: int | None = None,
    compare: bool = False,
) -> Plan:
    """Find the photos and name what becomes of them.

    A folder's photos and videos keep its tree and their names in `out`, a pattern's those of the folder in front of its
    first wildcard. Passed over are hidden files, what lies in `out`, linked folders, and results that lie beside their
    photos: see `RESULT`. Single files go into `out` by their name; for a single one, `out` may be a file.

    Args:
        inputs: files, folders, and patterns such as ``photos/**/*.jpg``, for shells that leave them alone.
        out: folder; None, with a single input: beside it, ``-color`` added to its name.
        format: ``same``, or a key of `tintype.images.formats.WRITABLE`; photos' names end accordingly.
        samples: how many results a photo gets, ``name-1.jpg`` and so on; None: the one.
        compare: whether each photo also gets ``name-compare.jpg``.
    Returns:
        Tasks in the order of the inputs, a folder's by name; each file once.
    Raises:
        UserError: an input is not there, there is no photo, two results would have one name, or that of a photo, or
            `out` is a folder above the photos, whose other photos results might replace.
    """
    if format != SAME and format not in WRITABLE:
        raise UserError(f"--format {format!r}: allowed: {', '.join((SAME, *WRITABLE))}")
    if "" in inputs:  # which is the current folder to pathlib
        raise UserError("'': is no name; allowed: a photo, a folder (. is this one) or a pattern")
    single = Path(inputs[0]) if len(inputs) == 1 and Path(inputs[0]).exists() else None
    if out is None:
        if single is None:
            raise UserError("-o: is needed: a folder, which the photos in color go into")
        beside = single.resolve() if single.name in ("", "..") else single
        out = beside.with_name(
            beside.stem + IN_COLOR + _suffix(beside, format) if beside.is_file() else beside.name + IN_COLOR
        )
    to_file = single is not None and single.is_file() and _names_a_file(out)
    if single and to_file:
        tasks = [_task(single, out, _format_of_name(single, out, format), samples, compare)]
    else:
        if _names_a_file(out):
            raise UserError(f"-o {out}: allowed: a folder; the name of a file for a single photo alone")
        found: dict[Path, tuple[Path, Path]] = {}
        for text in inputs:
            for file, name in _find(text, out):
                found.setdefault(file.parent.resolve() / file.name, (file, name))  # a link is a photo of its own
        tasks = [
            _task(file, out / name.with_name(name.stem + _suffix(name, format)), format, samples, compare)
            for file, name in found.values()
        ]
    if not tasks:
        raise UserError(f"{' '.join(inputs)}: no photo there; known by their names: {' '.join(sorted(SUFFIXES))}")
    _check(tasks, None if to_file else out)
    return Plan(tasks, None if to_file else out)


def is_there(path: Path) -> bool:
    """Whether it is a file; a folder of the name is none, nor is what no file can be called."""
    try:
        return path.is_file()
    except OSError:  # too long a name
        return False


def _find(text: str, out: Path) -> Iterator[tuple[Path, Path]]:
    """Files, and the names they are to have below `out`."""
    path = Path(text)
    if path.is_dir():
        if path.resolve() == out.resolve():
            raise UserError(f"-o {out}: is the folder of the photos; allowed: another one")
        files = _without_results(list(_walk(path, out.resolve())))
        yield from ((file, file.relative_to(path)) for file in files)
    elif path.exists():
        yield path, Path(path.name)
    elif MAGIC.search(text):
        wild = next(index for index, part in enumerate(path.parts) if MAGIC.search(part))
        fixed, inside = Path(*path.parts[:wild]), out.resolve()
        above = fixed.resolve().is_relative_to(inside)  # which `_check` refuses
        matches = []
        for match in sorted(fixed.glob(str(Path(*path.parts[wild:])))):
            hidden = any(part[0] == "." for part in match.relative_to(fixed).parts)
            is_result = match.resolve().is_relative_to(inside) and not above
            if _is_known(match) and match.is_file() and not hidden and not is_result:
                matches.append(match)
        yield from ((match, match.relative_to(fixed)) for match in _without_results(matches))
    else:
        raise UserError(f"{text}: no such photo, folder or pattern")


def _walk(folder: Path, but: Path) -> Iterator[Path]:
    """Photos and videos below a folder, by name; none in the folder `but`, none hidden (macOS adds ``._photo.jpg``)."""
    for place, folders, files in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(name for name in folders if name[0] != "." and (here / name).resolve() != but)
        yield from (here / name for name in sorted(files) if name[0] != "." and _is_known(here / name))


def _without_results(files: Sequence[Path]) -> list[Path]:
    """Those that are no results of others among them."""
    photos = {file.with_suffix("") for file in files}
    of = ((file, RESULT.fullmatch(file.stem)) for file in files)
    return [file for file, match in of if match is None or file.with_name(match[1]) not in photos]


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def _is_known(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES | VIDEO_SUFFIXES


def _names_a_file(out: Path) -> bool:
    return out.suffix.lower() in SUFFIXES | VIDEO_SUFFIXES and not out.is_dir()


def _suffix(path: Path, format: str) -> str:
    """What a result's name ends in, after the stem."""
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return path.suffix
    if suffix == ".gif" and format == SAME:
        return ".png"
    if format == SAME or suffix in WRITABLE[format].suffixes:
        return path.suffix
    return WRITABLE[format].suffixes[0] if suffix in SUFFIXES else path.suffix + WRITABLE[format].suffixes[0]


def format_by_name(path: Path) -> str | None:
    """The key of `tintype.images.formats.WRITABLE` that a name's suffix stands for."""
    return next((name for name, one in WRITABLE.items() if path.suffix.lower() in one.suffixes), None)


def _format_of_name(source: Path, out: Path, format: str) -> str:
    """The format of a file that the user has named."""
    meant = SAME if _is_video(out) else format_by_name(out)
    if meant is None or _is_video(source) != _is_video(out) or format not in (SAME, meant):
        allowed: Iterable[str] = (suffix for one in WRITABLE.values() for suffix in one.suffixes)
        if _is_video(source):
            allowed = sorted(VIDEO_SUFFIXES)
        elif format != SAME:
            allowed = WRITABLE[format].suffixes
        raise UserError(f"-o {out}: allowed: a name that ends in {' '.join(allowed)}")
    return meant


def _task(source: Path, result: Path, format: str, samples: int | None, compare: bool) -> Task:
    def named(ending: object) -> Path:
        return result.with_name(f"{result.stem}-{ending}{result.suffix}")

    results = (result,) if samples is None else tuple(named(number) for number in range(1, samples + 1))
    return Task(source, results, named("compare") if compare else None, format)


def _check(tasks: Sequence[Task], folder: Path | None) -> None:
    """Refuse to write one file twice, over a photo, or among the photos."""
    inputs = {_place(task.source) for task in tasks}
    written: dict[Path, Task] = {}
    for task in tasks:
        for output in task.outputs:
            place = _place(output)
            if place in inputs:
                raise UserError(f"-o: {output} is one of the photos, which are never written over; name another folder")
            if place in written:
                other = written[place]
                where = "" if output in other.outputs else " to file systems that ignore case"
                both = f"{other.source} and {task.source} would both become {output}{where}"
                raise UserError(f"{both}; colorize them into two folders")
            written[place] = task
        if folder is not None and _place(task.source.parent).is_relative_to(_place(folder)):
            raise UserError(f"-o {folder}: {task.source} lies in it; allowed: a folder without photos to colorize")


def _place(path: Path) -> Path:
    """Where a file is, the same for all names that some file system takes for one."""
    return Path(str(path.resolve()).casefold())
