"""The plan of a batch: which photos are colorized and which files they become, checked before any work."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tintype.batch.search import IN_COLOR, MAGIC, Failed, is_file, is_folder, is_known, is_video, real, search
from tintype.errors import UserError
from tintype.images.formats import CONVERTED, SAME, SUFFIXES, WRITABLE
from tintype.video.colorize import CONTAINERS, WRITTEN


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
        return is_video(self.source)

    @property
    def outputs(self) -> tuple[Path, ...]:
        """All files that are written."""
        return self.results if self.compare is None else (*self.results, self.compare)

    @property
    def done(self) -> bool:
        """Whether all outputs exist. Outputs that exist are complete."""
        return all(is_file(path) for path in self.outputs)


@dataclass(frozen=True)
class Plan:
    """The tasks of a batch."""

    tasks: list[Task]
    failed: list[Failed]
    """Files and folders that were found but cannot be worked on."""
    skipped: Counter[str]
    """Number of files that are neither photos nor videos, by their suffix."""
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
    folder before its first wildcard. Single files are placed directly in `out`. For one single file, `out` may be a
    file. See `tintype.batch.search.search` for what is found.

    If several photos of different kinds would get the same name, their suffixes are added: ``plate.jpg`` and
    ``plate.tif`` become ``plate-jpg.png`` and ``plate-tif.png``. If that does not help, the first one gets the name,
    and the others fail.

    Args:
        inputs: files, folders, and patterns such as ``photos/**/*.jpg``, for shells that do not expand them.
        out: folder of the results. None, for a single input only: next to it, with ``-color`` added to its name.
        format: ``same``, or a key of `tintype.images.formats.WRITABLE`. Photos' names get the suffix of the format.
        samples: number of results per photo, named ``name-1.jpg`` and so on. None: a single result.
        compare: whether each photo also gets ``name-compare.jpg``.
    Returns:
        The plan. Its tasks are in the order of the inputs, those of a folder by name, with each file once.
    Raises:
        UserError: there is nothing to do, or `out` is not a place for the results: it is a folder above the photos,
            where results might replace other photos.
    """
    if format != SAME and format not in WRITABLE:
        raise UserError(f"--format {format!r}: allowed: {', '.join((SAME, *WRITABLE))}")
    if "" in inputs:  # pathlib takes it for the current folder
        raise UserError("'': is no name; allowed: a photo, a folder (. is this one) or a pattern")
    is_pattern = MAGIC.search(inputs[0]) and not os.path.lexists(inputs[0])
    single = Path(inputs[0]) if len(inputs) == 1 and not is_pattern else None
    if out is None:
        if single is None:
            raise UserError("-o: is needed: a folder, which the photos in color go into")
        beside = single.resolve() if single.name in ("", "..") else single
        is_one = not is_folder(beside)
        out = beside.with_name(beside.stem + IN_COLOR + _suffix(beside, format) if is_one else beside.name + IN_COLOR)
    to_file = single is not None and not is_folder(single) and _names_a_file(out)
    if _names_a_file(out) and not to_file:
        raise UserError(f"-o {out}: allowed: a folder; the name of a file for a single photo alone")
    findings = search(inputs, out)
    files = list(findings.found.values())
    if single is not None and to_file:
        results = [out] * len(files)
        format = _format_of_name(single, out, format)
    else:
        results = [out / name for name in _names(files, format)]
    tasks, failed = [], findings.failed
    for (file, _), result in zip(files, results, strict=True):
        if is_video(file) and (samples is not None or compare):
            option = "--compare" if samples is None else "--samples"
            failed.append(Failed(file, f"is a video; {option} works with photos only"))
        else:
            tasks.append(_task(file, result, format, samples, compare))
    tasks, clashing = _checked(tasks, None if to_file else out)
    failed += clashing
    if not tasks and len(failed) == 1:
        raise UserError(f"{failed[0].source}: {failed[0].reason}")
    if not tasks and not failed:
        raise UserError(f"{' '.join(inputs)}: no photo there; known by their names: {' '.join(sorted(SUFFIXES))}")
    return Plan(tasks, failed, findings.skipped, None if to_file else out)


def _names(files: Sequence[tuple[Path, Path]], format: str) -> list[Path]:
    """Return the names of the results of files. See `plan` for those that would be the same."""
    names = [name.with_name(name.stem + _suffix(name, format)) for _, name in files]
    same: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        same.setdefault(str(name).casefold(), []).append(index)
    for indices in same.values():
        kinds = [files[index][1].suffix[1:] for index in indices]
        if len({kind.lower() for kind in kinds}) == len(indices) > 1:
            for index, kind in zip(indices, kinds, strict=True):
                names[index] = names[index].with_name(f"{names[index].stem}-{kind}{names[index].suffix}")
    return names


def _names_a_file(out: Path) -> bool:
    return is_known(out) and not is_folder(out)


def _suffix(path: Path, format: str) -> str:
    """Return what follows the stem in a result's name."""
    suffix = path.suffix.lower()
    if is_video(path):
        return path.suffix if suffix in CONTAINERS else WRITTEN
    if format == SAME:
        return CONVERTED.get(suffix, path.suffix)
    if suffix in WRITABLE[format].suffixes:
        return path.suffix
    return WRITABLE[format].suffixes[0] if suffix in SUFFIXES else path.suffix + WRITABLE[format].suffixes[0]


def format_by_name(path: Path) -> str | None:
    """Return the key of `tintype.images.formats.WRITABLE` for a name's suffix, or None if there is none."""
    return next((name for name, one in WRITABLE.items() if path.suffix.lower() in one.suffixes), None)


def _format_of_name(source: Path, out: Path, format: str) -> str:
    """Return the format of a file that the user has named."""
    to_video = out.suffix.lower() in CONTAINERS
    meant = SAME if to_video else format_by_name(out)
    if meant is None or is_video(source) != to_video or format not in (SAME, meant):
        allowed: Iterable[str] = (suffix for one in WRITABLE.values() for suffix in one.suffixes)
        if is_video(source):
            allowed = sorted(CONTAINERS)
        elif format != SAME:
            allowed = WRITABLE[format].suffixes
        raise UserError(f"-o {out}: allowed: a name that ends in {' '.join(allowed)}")
    return meant


def _task(source: Path, result: Path, format: str, samples: int | None, compare: bool) -> Task:
    def named(ending: object) -> Path:
        return result.with_name(f"{result.stem}-{ending}{result.suffix}")

    results = (result,) if samples is None else tuple(named(number) for number in range(1, samples + 1))
    return Task(source, results, named("compare") if compare else None, format)


def _checked(tasks: Sequence[Task], folder: Path | None) -> tuple[list[Task], list[Failed]]:
    """Return the tasks that may be done, and those that would write one file twice or over a photo.

    Raises:
        UserError: the results would be among the photos.
    """
    inputs = {_place(task.source) for task in tasks}
    written: dict[Path, Task] = {}
    allowed, failed = [], []
    for task in tasks:
        within = folder is None or _place(task.source.parent).is_relative_to(_place(folder))
        places = {_place(output): output for output in task.outputs}
        over = next((output for place, output in places.items() if place in inputs), None)
        if over is not None:
            reason = f"{over} is one of the photos, which are never written over; name another folder"
            if within:
                raise UserError(f"-o: {reason}")
            failed.append(Failed(task.source, reason))
        elif within and folder is not None:
            raise UserError(f"-o {folder}: {task.source} lies in it; allowed: a folder without photos to colorize")
        elif taken := next((place for place in places if place in written), None):
            other = written[taken]
            where = "" if places[taken] in other.outputs else " to file systems that ignore case"
            reason = f"would become {places[taken]}, like {other.source}{where}; colorize it into another folder"
            failed.append(Failed(task.source, reason))
        else:
            allowed.append(task)
            written |= dict.fromkeys(places, task)
    return allowed, failed


def _place(path: Path) -> Path:
    """Return the path of a file, the same for all names that some file system treats as equal."""
    return Path(str(real(path)).casefold())
