"""`tintype colorize`."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from tintype.batch.plan import Task
    from tintype.batch.run import Outcome
    from tintype.inference.hints import Hint

# `tintype.inference.backends.BackendName` and the keys of `tintype.images.formats.WRITABLE`, which help would wait for
BackendName = Literal["auto", "torch", "onnx"]
FormatName = Literal["same", "jpeg", "png", "webp", "tiff", "avif", "bmp"]
SHOWN = 20
"""Photos whose metrics are printed; all are in the CSV."""
METRICS_CSV = "evaluate.csv"
BY_SIGNAL = 128
"""Exit status of a run that was asked to end, less the signal's number, as shells have it: 130 for Ctrl-C."""


def colorize(
    photos: Annotated[
        list[str],
        typer.Argument(metavar="PHOTO|FOLDER|'GLOB'", help="Photos, videos, folders of them, or patterns in quotes."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="OUT",
            help="Folder for the results; a file's name where there is one photo. May be left out for one photo or one "
            "folder: -color is added to its name.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            metavar="MODEL",
            help="everyday is the released model; or models:/NAME@ALIAS, models:/NAME/VERSION, a run's id, a folder of "
            "weights, an .onnx file.",
        ),
    ] = "everyday",
    backend: Annotated[BackendName, typer.Option(help="Runtime; onnx needs no torch for an .onnx file.")] = "auto",
    device: Annotated[
        str, typer.Option(metavar="DEVICE", help="auto uses a GPU if there is one; or cpu, cuda, cuda:1 ...")
    ] = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Photos per batch.")] = 8,
    size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Short side of what the network sees, pixels. Default: that of its training photos. Results have the "
            "photos' own size.",
            show_default=False,
        ),
    ] = None,
    saturation: Annotated[float, typer.Option(min=0, help="0: gray; 1: as predicted; 1.3: vivid.")] = 1.0,
    keep_color: Annotated[
        bool,
        typer.Option("--keep-color", help="Copy photos that already have color (sepia counts)."),
    ] = False,
    hint: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X,Y,#RRGGBB",
            help="Color at a spot of a single photo; X and Y from the left and top edge, 0 to 1. May be repeated.",
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            min=1, max=1000, help="Write this many versions of each photo: name-1.jpg and so on.", show_default=False
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=1 << 62, help="Seed of --samples. Default: 0.", show_default=False),
    ] = None,
    format: Annotated[FormatName, typer.Option(help="Format of the results; same keeps each photo's own.")] = "same",
    compare: Annotated[
        bool, typer.Option("--compare", help="Also write name-compare.jpg: before | after, side by side.")
    ] = False,
    evaluate: Annotated[
        bool,
        typer.Option(
            "--evaluate",
            help="Recolor color photos, also those that are done, and measure the results against them; with a "
            f"folder OUT also OUT/{METRICS_CSV}.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing results instead of skipping them.")
    ] = False,
) -> None:
    """Give photos and videos their colors back.

    Results have the photos' own size and sharpness. A folder's tree and names are kept, formats too, with EXIF,
    resolution and 16 bits. No input is written over; --overwrite and --evaluate replace whatever has a result's name. A
    run that was interrupted goes on where it was. Exit 0: all done. 1: some failed; they are named. 2: an error. 130 or
    143: interrupted by Ctrl-C or SIGTERM; the files that were being written are complete.

    \b
    tintype colorize grandmother.jpg
    tintype colorize album -o album-in-color --compare
    tintype colorize 'scans/**/*.tif' -o out --format jpeg
    tintype colorize clip.mp4 -o clip-in-color.mp4
    """
    from tqdm import tqdm

    from tintype.batch import summary
    from tintype.batch.interruption import noted_signals
    from tintype.batch.plan import plan
    from tintype.batch.run import colorize_all, remaining
    from tintype.errors import UserError
    from tintype.inference.colorizer import Colorizer

    planned = plan(photos, out, format=format, samples=samples, compare=compare)
    hints = [_hint(text) for text in hint or ()]
    _refuse_clashes(planned.tasks, hints, samples, seed, evaluate, keep_color)

    tasks = remaining(planned.tasks, overwrite=overwrite, evaluate=evaluate)
    already = len(planned.tasks) - len(tasks)
    outcomes: list[Outcome] = []
    done: Iterator[Outcome] = iter(())
    received: list[int] = []
    stopped: UserError | None = None
    if tasks:
        try:
            colorizer = Colorizer.load(
                model,
                backend=backend,
                device=device,
                size=size,
                batch_size=batch_size,
                saturation=saturation,
                keep_color=keep_color,
            )
        except KeyboardInterrupt:
            raise typer.Exit(BY_SIGNAL + signal.SIGINT) from None
        _make(planned.folder or planned.tasks[0].results[0].parent)
        done = colorize_all(
            tasks,
            colorizer,
            overwrite=overwrite,
            seed=None if samples is None else seed or 0,
            hints=hints,
            evaluate=evaluate,
            frames=_frames(),
            stop=lambda: received,
        )
    with noted_signals(received):
        try:
            for outcome in tqdm(done, total=len(tasks), desc="colorize", unit="file", disable=None if tasks else True):
                outcomes.append(outcome)
        except KeyboardInterrupt:
            received.append(signal.SIGINT)
        except UserError as error:
            stopped = error
            if not outcomes:
                raise
        if evaluate:
            _print_metrics(outcomes)
        failures = summary.failures(planned, outcomes)
        for line in summary.done(planned, outcomes, already):
            typer.echo(line)
        for line in [*summary.notes(outcomes), *failures]:
            typer.echo(line, err=True)
        if stopped:
            raise stopped
        if evaluate and planned.folder:
            _write_metrics(outcomes, planned.folder / METRICS_CSV)
    if received:
        goes_on = "" if overwrite or evaluate else "; the same command goes on from here"
        typer.echo(f"interrupted{goes_on}", err=True)
        raise typer.Exit(BY_SIGNAL + received[0])
    raise typer.Exit(1 if failures else 0)


def _hint(text: str) -> Hint:
    from tintype.errors import UserError
    from tintype.inference.hints import Hint

    try:
        x, y, color = text.split(",")
        return Hint(float(x), float(y), color)
    except ValueError:
        allowed = "X,Y,#RRGGBB with X and Y from 0 to 1, such as 0.5,0.25,#7799bb"
        raise UserError(f"--hint {text!r}: allowed: {allowed}") from None


def _frames() -> Callable[[Path, int, int], None]:
    """Tells of a video's frames below the bar that counts files."""
    from tqdm import tqdm

    bars: dict[Path, tqdm] = {}

    def tell(source: Path, done: int, total: int) -> None:
        if source not in bars:
            bars[source] = tqdm(total=total or None, desc=source.name, unit="frame", disable=None, leave=False)
        bars[source].update(done - bars[source].n)

    return tell


def _make(folder: Path) -> None:
    """The folder that all goes into; what is wrong with it is wrong for every photo."""
    from tintype.errors import UserError

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # only the attempt shows why not
            pass
    except OSError as error:
        raise UserError(f"-o: {folder} cannot be written to: {error.strerror}") from error


def _refuse_clashes(
    tasks: Sequence[Task],
    hints: Sequence[Hint],
    samples: int | None,
    seed: int | None,
    evaluate: bool,
    keep_color: bool,
) -> None:
    from tintype.errors import UserError

    if hints and len(tasks) > 1:
        raise UserError(f"--hint: is for a single photo; here are {len(tasks)}")
    if evaluate:
        try:
            import tintype.metrics.color
            import tintype.metrics.pixels  # noqa: F401
        except ImportError as error:
            raise UserError(f"--evaluate: {error.name} is not installed; pip install 'tintype[train]'") from None
    if seed is not None and samples is None:
        raise UserError("--seed: is for --samples")
    for option, is_set in (("--keep-color", keep_color), ("--samples", samples), ("--hint", hints)):
        if evaluate and is_set:
            raise UserError(f"--evaluate {option}: allowed is one of the two")
        if keep_color and is_set and option != "--keep-color":
            raise UserError(f"--keep-color {option}: allowed is one of the two")
    if hints and tasks and tasks[0].is_video:
        raise UserError(f"--hint: is for photos; {tasks[0].source} is a video")


def _measured(outcomes: Sequence[Outcome]) -> dict[Path, dict[str, float]]:
    return {outcome.task.source: outcome.metrics for outcome in outcomes if outcome.metrics}


def _print_metrics(outcomes: Sequence[Outcome]) -> None:
    from tintype.batch.comparison import mean, table
    from tintype.batch.summary import shown

    measured = _measured(outcomes)
    unmeasured = sum(not outcome.error and not outcome.metrics for outcome in outcomes)
    if unmeasured:
        typer.echo(f"{unmeasured} not measured: gray, tiny, or a video")
    if not measured:
        return
    overall = mean(list(measured.values()))
    first = {shown(path): metrics for path, metrics in list(measured.items())[:SHOWN]}
    typer.echo(table({**first, f"mean of {len(measured)}": overall}))


def _write_metrics(outcomes: Sequence[Outcome], path: Path) -> None:
    from tintype.batch.comparison import NAMES
    from tintype.batch.summary import as_text
    from tintype.data.curation import write_table
    from tintype.errors import UserError
    from tintype.files import replacing

    if not (measured := _measured(outcomes)):
        return
    try:
        with replacing(path) as temporary:
            rows = [(as_text(source), *metrics.values()) for source, metrics in measured.items()]
            write_table(temporary, ("photo", *NAMES), rows)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
