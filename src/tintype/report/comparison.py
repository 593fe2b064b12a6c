"""Comparison of our metrics with published metrics of the same rows, and the success of each row's discriminator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from tintype.config import PublishedRow
from tintype.metrics.registry import ARROWS, LAB_PLANES, metric_of

NETWORKS = {
    "fid": "pytorch-fid's Inception",
    "kid": "pytorch-fid's Inception",
    "fid_torchvision": "torchvision's Inception",
    "lpips": "VGG-16",
}
"""Published feature networks by metric. The reports that we compare with use no others."""

SUCCESS = ["discriminator_real_success", "discriminator_fake_success"]


def comparison(
    scores: Mapping[str, Mapping[str, float]],
    curves: Mapping[str, pd.DataFrame],
    published: Mapping[str, PublishedRow],
) -> str:
    """Return a Markdown section with one line per published value, or the note of a row without published metrics.

    A value is only compared with a value of the same name, and thus of the same metric, space and feature network.

    Args:
        scores: our values by row and full name of the metric.
        curves: curves by row, as returned by `read_curves`.
        published: published values by row.
    """
    lines = [
        "\n## Beside the published metrics\n",
        "Difference: ours less theirs.\n",
        "| row | metric | ours | published | difference | space | feature network | epochs trained | note |",
        "|---" * 9 + "|",
    ]
    for row, theirs in published.items():
        epochs, note = int(curves[row]["epoch"].iloc[-1]), theirs.note
        for cells in list(_metrics(scores[row], theirs.metrics)) or [[""] * 6]:
            lines.append(f"| `{row}` | {' | '.join(cells)} | {epochs} | {note} |")
            note = ""  # once per row
    return "\n".join(lines) + "\n"


def _metrics(ours: Mapping[str, float], theirs: Mapping[str, float]) -> Iterator[list[str]]:
    """Yield the cells metric, ours, published, difference, space and feature network."""
    for name, value in theirs.items():
        metric = metric_of(name)
        measured = f"{ours[name]:.{metric.digits}f}" if name in ours else "not measured"
        difference = f"{ours[name] - value:+.{metric.digits}f}" if name in ours else ""
        space = "L, a, b as if RGB" if name.endswith(LAB_PLANES) else "RGB"
        network = NETWORKS.get(name.removesuffix(LAB_PLANES), "")
        yield [name + ARROWS[metric.direction], measured, f"{value:g}", difference, space, network]


def discriminators(curves: Mapping[str, pd.DataFrame]) -> str:
    """Return a Markdown section with each discriminator's success in the last epoch that it took part in.

    The section is empty if no discriminator has logits with a decision boundary.
    """
    lines = list(_success(curves))
    if not lines:
        return ""
    words = "Shares of its logits on the right side, in training, in the last epoch that had a discriminator.\n"
    return (
        "\n".join(["\n## How the discriminator fared\n", words, "| row | real | fake |", "|---|---|---|", *lines])
        + "\n"
    )


def _success(curves: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    for row, table in curves.items():
        if set(SUCCESS) <= set(table.columns):
            real, fake = table[SUCCESS].dropna().iloc[-1]
            yield f"| `{row}` | {real:.2f} | {fake:.2f} |"
