"""A grid of sample photos from an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from tintype.color.lab import to_uint8

COLUMNS = ("gray", "truth", "prediction")
MARGIN = 6  # pixels
LABELS = 100  # pixels, width of the label column
FONT = 16  # pixels


def best_median_worst(difference: Sequence[float], count: int) -> list[tuple[int, str]]:
    """Return index and label of the `count` photos with the least, median and largest difference, each photo once."""
    order = sorted(range(len(difference)), key=difference.__getitem__)
    middle = max(0, (len(order) - count) // 2)
    groups = {"best": order[:count], "median": order[middle : middle + count], "worst": order[-count:]}
    labels: dict[int, str] = {}
    for group, indices in groups.items():
        for index in indices:
            labels.setdefault(index, f"{group} {difference[index]:.1f}")
    return list(labels.items())


def write_grid(path: Path, rows: Sequence[tuple[str, Sequence[Tensor]]]) -> None:
    """Write a PNG in which each row has a label and three square photos: gray, truth and prediction.

    Small photos are enlarged by an integer factor, which keeps their pixels as they are. Large photos are scaled to
    256.

    Args:
        path: of the PNG.
        rows: labels, and photos (3, H, W) in [0, 1].
    """
    from PIL import Image, ImageDraw, ImageFont

    size = rows[0][1][0].shape[-1]
    side = min(256, size * max(1, 192 // size))
    scaling = Image.Resampling.NEAREST if side >= size else Image.Resampling.LANCZOS
    step, header = side + MARGIN, FONT + 2 * MARGIN
    canvas = Image.new("RGB", (LABELS + len(COLUMNS) * step, header + len(rows) * step), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(FONT)
    for column, name in enumerate(COLUMNS):
        draw.text((LABELS + column * step, MARGIN), name, "black", font)
    for y, (label, photos) in enumerate(rows):
        top = header + y * step
        draw.text((MARGIN, top + side / 2), label, "black", font, anchor="lm")
        for column, photo in enumerate(photos):
            tile = Image.fromarray(to_uint8(photo).permute(1, 2, 0).cpu().numpy())
            canvas.paste(tile.resize((side, side), scaling), (LABELS + column * step, top))
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.save(path)
