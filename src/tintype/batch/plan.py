"""The plan of a batch: which photos are colorized and which files they become, checked before any work."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tintype.errors import UserError
from tintype.images.formats import CONVERTED, SAME, SUFFIXES, WRITABLE
from tintype.video.colorize import SUFFIXES as VIDEO_SUFFIXES

MAGIC = re.compile(r"[*?[]")
IN_COLOR = "-color"
"""Suffix of the names of results if the user names no output."""
RESULT = re.compile(rf"(.+?)({IN_COLOR}(-compare|-\d+)?|-compare)")
"""Pattern of the stem of a result's name. Its first group is the stem of the photo, which may be in the same folder."""


@dataclass(frozen=True)
class Task:
    """One photo or video, and the files it becomes."""

    source: Path
    results: tuple[Path, ...]
    """One result, or one per sample."""
    compare: Path | None = None
    """Image of the photo next to its results."""
    format: str = SAME

    @property
    def is_video(self) -> bool:
        """Whether the source is a video, judged by its name."""
        return _is_video(self.source)

    @property
    def outputs(self) -> tuple[Path, ...]:
        """All files that are written."""
        return self.results if self.compare is None else (*self.results, self.compare)

    @property
    def done(self) -> bool:
        """Whether all outputs exist. Outputs that exist are complete."""
        return all(is_there(path) for path in self.outputs)


@dataclass(frozen=True)
class Plan:
    """The tasks of a batch."""

    tasks: list[Task]
    folder: Path | None
    """Folder of all results. None: the result is a file that the user named, or a file next to the photo."""


def plan(
    inputs: Sequence[str],
    out: Path | None = None,
    *,
    format: str = SAME,
    samples: int | None = None,
    compare: bool = False,
) -> Plan:
    """Find the photos and name their results.

    In `out`, photos and videos of a folder keep its tree and their names. Those of a pattern keep their path from the
    folder before its first wildcard. Hidden files, files in `out`, linked folders, and results next to their photos
    (see `RESULT`) are skipped. Single files are placed directly in `out`. For one single file, `out` may be a file.

    Args:
        inputs: files, folders, and patterns such as ``photos/**/*.jpg``, for shells that do not expand them.
        out: folder of the results. None, for a single input only: next to it, with ``-color`` added to its name.
        format: ``same``, or a key of `tintype.images.formats.WRITABLE`. Photos' names get the suffix of the format.
        samples: number of results per photo, named ``name-1.jpg`` and so on. None: a single result.
        compare: whether each photo also gets ``name-compare.jpg``.
    Returns:
        The plan. Its tasks are in the order of the inputs, those of a folder by name, with each file once.
    Raises:
        UserError: an input does not exist, there is no photo, two results would have the same name, a result would have
            the name of a photo, or `out` is a folder above the photos, where results might replace other photos.
    """
    if format != SAME and format not in WRITABLE:
        raise UserError(f"--format {format!r}: allowed: {', '.join((SAME, *WRITABLE))}")
    if "" in inputs:  # pathlib takes it for the current folder
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
                found.setdefault(file.parent.resolve() / file.name, (file, name))  # a link counts as a photo of its own
        tasks = [
            _task(file, out / name.with_name(name.stem + _suffix(name, format)), format, samples, compare)
            for file, name in found.values()
        ]
    if not tasks:
        raise UserError(f"{' '.join(inputs)}: no photo there; known by their names: {' '.join(sorted(SUFFIXES))}")
    _check(tasks, None if to_file else out)
    return Plan(tasks, None if to_file else out)


def is_there(path: Path) -> bool:
    """Return whether a path is an existing file. A folder is not, and neither is a name that no file can have."""
    try:
        return path.is_file()
    except OSError:  # the name is too long
        return False


def _find(text: str, out: Path) -> Iterator[tuple[Path, Path]]:
    """Yield files, and the names that they get below `out`."""
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
    """Yield the photos and videos below a folder, by name.

    The folder `but` and hidden files are skipped (macOS adds ``._photo.jpg``).
    """
    for place, folders, files in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(name for name in folders if name[0] != "." and (here / name).resolve() != but)
        yield from (here / name for name in sorted(files) if name[0] != "." and _is_known(here / name))


def _without_results(files: Sequence[Path]) -> list[Path]:
    """Return the files that are not results of other files in the list."""
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
    """Return what follows the stem in a result's name."""
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return path.suffix
    if suffix in CONVERTED and format == SAME:
        return CONVERTED[suffix]
    if format == SAME or suffix in WRITABLE[format].suffixes:
        return path.suffix
    return WRITABLE[format].suffixes[0] if suffix in SUFFIXES else path.suffix + WRITABLE[format].suffixes[0]


def format_by_name(path: Path) -> str | None:
    """Return the key of `tintype.images.formats.WRITABLE` for a name's suffix, or None if there is none."""
    return next((name for name, one in WRITABLE.items() if path.suffix.lower() in one.suffixes), None)


def _format_of_name(source: Path, out: Path, format: str) -> str:
    """Return the format of a file that the user has named."""
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
    """Return the path of a file, the same for all names that some file system treats as equal."""
    return Path(str(path.resolve()).casefold())
