"""Training batches from the Lab cache, converted and augmented on the training device."""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import torch
from torch import Tensor

from tintype.color.lab import AB_MAX
from tintype.color.spaces import ColorSpace
from tintype.data.cache import LabSplit
from tintype.data.cropping import crop_and_resize, random_boxes
from tintype.data.degradation import Degradation, degrade, draw_degradation, draw_noise
from tintype.data.lab_codes import code_of

AHEAD = 2  # batches read ahead while the device works, if it does not hold all photos


class Batch(NamedTuple):
    """Photos in network units, on the device: in Lab as made by `Batches`, or in another space."""

    lightness: Tensor
    """(B, 1, H, W) float32."""
    chroma: Tensor
    """(B, planes, H, W) float32."""
    labels: Tensor
    """(B,) int64. -1 means no class."""
    seen: Tensor
    """(B, 1, H, W) float32, what the generator sees: `lightness` itself, or `lightness` degraded as in old photos."""

    def in_space(self, space: ColorSpace) -> Batch:
        """Convert photos in Lab to a space of `tintype.color.spaces.SPACES`.

        A degraded photo is shown as the gray photo that it is: `seen` becomes the lightness of grays in the space.
        """
        lightness, chroma = space.from_net_lab(self.lightness, self.chroma)
        if self.seen is self.lightness:
            return Batch(lightness, chroma, self.labels, lightness)
        of_gray, _ = space.from_net_lab(self.seen, torch.zeros_like(self.chroma))
        is_degraded = (self.seen != self.lightness).flatten(1).any(dim=1)[:, None, None, None]
        return Batch(lightness, chroma, self.labels, torch.where(is_degraded, of_gray, lightness))


class Batches:
    """The batches of a split.

    If the codes of all photos fit on the device, they are moved there once. On a CPU they stay in the cache's file,
    which the system keeps in memory once for all processes. Otherwise, a thread reads ahead. The batches are the same
    in all cases.

    Args:
        split: the photos.
        batch_size: photos per step, over all processes together. It is smaller if the split has fewer photos.
        device: the device for the batches.
        seed: of order and augmentation.
        hflip_probability: probability that a photo is flipped horizontally.
        crop_scale: smallest share of a photo's area that a random crop keeps. 1 means no crops.
        degradation_probability: probability that a photo is shown degraded, see `tintype.data.degradation`.
        rank: index of this process. Each of the `world` processes gets an equal share of every batch.
        world: number of processes.
        memory_format: of lightness and chroma.

    Raises:
        ValueError: the processes cannot share a batch equally.
    """

    def __init__(
        self,
        split: LabSplit,
        batch_size: int,
        device: torch.device | str,
        seed: int,
        hflip_probability: float = 0.5,
        crop_scale: float = 1.0,
        degradation_probability: float = 0.0,
        rank: int = 0,
        world: int = 1,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        if batch_size % world or 0 < len(split) < world:
            raise ValueError(f"{world} processes cannot share batches of {batch_size} from {len(split)} photos equally")
        self.batch_size = min(batch_size, len(split) // world * world)
        self._device = torch.device(device)
        self._seed, self._flip, self._crop_scale, self._degrade = (
            seed,
            hflip_probability,
            crop_scale,
            degradation_probability,
        )
        self._rank, self._world = rank, world
        self._memory_format = memory_format

        self._labels = torch.tensor(split.labels, device=self._device)
        with warnings.catch_warnings():  # warns that the array is read-only, but it is only read here
            warnings.simplefilter("ignore")
            self._codes = torch.from_numpy(split.codes)
        self._fits = split.codes.nbytes <= _room(self._device)
        if self._fits:
            self._codes = self._codes.to(self._device)
        self._one_by_one = self._device.type == "cpu"
        if self._one_by_one:
            _keep_freed_memory()

        # Codes become network units with one multiply-add per value: (code - offset) / scale / unit + shift.
        code = code_of(self._codes.dtype)
        units, shifts = (50.0, AB_MAX), (-1.0, 0.0)
        self._factors = [1 / (scale * unit) for scale, unit in zip(code.scale, units, strict=False)]
        terms = [s - offset * factor for s, offset, factor in zip(shifts, code.offset, self._factors, strict=False)]
        self._terms = torch.tensor(terms, device=self._device).unbind()

    def __len__(self) -> int:
        """Return the steps per epoch.

        Photos that do not fill a last batch are left out, different ones in each epoch.
        """
        return len(self._codes) // self.batch_size if self.batch_size else 0

    def epoch(self, n: int, image_size: int | None = None, first: int = 0) -> Iterator[Batch]:
        """Return the shuffled batches of epoch `n`. They depend only on the seed and `n`, on any machine and device.

        Flipped photos come first in a batch, so that flipped and other photos are one piece each. The order within a
        batch has no meaning.

        Args:
            n: from 0.
            image_size: side of the photos, pixels. None keeps the cache's size.
            first: number of the batch to start with, from 0.
        """
        rng = torch.Generator().manual_seed((self._seed * 1_000_003 + n) % 2**63)
        order = torch.randperm(len(self._codes), generator=rng)
        flipped = torch.rand(len(self._codes), generator=rng) < self._flip

        steps = order[: len(self) * self.batch_size].view(len(self), self.batch_size)
        steps = steps[first:, self._rank :: self._world]
        flipped_first = flipped[steps].int().argsort(dim=1, descending=True, stable=True)
        shuffled = steps.gather(1, flipped_first)
        batches = self._batches(shuffled.unbind(), flipped[steps].sum(dim=1).tolist())
        side = image_size or self._codes.shape[-1]
        if self._crop_scale < 1 or side != self._codes.shape[-1]:
            boxes = random_boxes(len(self._codes), self._crop_scale, rng)[shuffled]
            batches = self._cropped(batches, boxes.to(self._device), side)
        if self._degrade:
            is_degraded = torch.rand(len(self._codes), generator=rng) < self._degrade
            how, noise = draw_degradation(len(self._codes), rng), draw_noise(side, rng)
            batches = self._degraded(batches, shuffled, is_degraded, how, noise)
        return batches

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """Return every photo once, in the split's order and not flipped. Every process gets all photos."""
        steps = torch.arange(len(self._codes)).split(batch_size)
        return self._batches(steps, [0] * len(steps))

    def _batches(self, steps: Sequence[Tensor], flipped: Sequence[int]) -> Iterator[Batch]:
        """Yield one batch per step: the photos `steps[i]`, of which the first `flipped[i]` are mirrored."""
        if len(self._codes) == 0 or len(steps) == 0:
            return
        # Move all row numbers to the device at once, so that no step waits for its own.
        on_device = torch.cat(list(steps)).to(self._device).split([len(rows) for rows in steps])
        if self._fits:
            for rows, n in zip(on_device, flipped, strict=True):
                yield self._converted(self._codes, rows, n, self._labels[rows])
        else:
            for codes, rows, n in zip(self._read_ahead(steps), on_device, flipped, strict=True):
                there = codes.to(self._device, non_blocking=True)
                all_rows = torch.arange(len(rows), device=self._device)
                yield self._converted(there, all_rows, n, self._labels[rows])

    def _cropped(self, batches: Iterator[Batch], boxes: Tensor, side: int) -> Iterator[Batch]:
        """Yield the batches with the photos of batch i cropped to ``boxes[i]`` (B, 4)."""
        for batch, batch_boxes in zip(batches, boxes, strict=True):
            photos = torch.cat([batch.lightness, batch.chroma], dim=1)
            planes = crop_and_resize(photos, batch_boxes, side).split([1, 2], dim=1)
            lightness, chroma = (part.contiguous(memory_format=self._memory_format) for part in planes)
            yield Batch(lightness, chroma, batch.labels, lightness)

    def _degraded(
        self, batches: Iterator[Batch], steps: Tensor, is_degraded: Tensor, how: Degradation, noise: Tensor
    ) -> Iterator[Batch]:
        """Yield the batches with `seen` degraded for the chosen photos. Batch i has the photos `steps[i]`."""
        chosen = is_degraded[steps]
        counts = chosen.sum(dim=1).tolist()
        places = chosen.nonzero()[:, 1].to(self._device).split(counts)
        hows = how.to(self._device)
        photos = steps[chosen].to(self._device).split(counts)
        noise = noise.to(self._device)
        for batch, at, numbers in zip(batches, places, photos, strict=True):
            if len(at):
                degraded = degrade(batch.lightness[at], hows.of(numbers), noise)
                # clone keeps the memory format
                batch = batch._replace(seen=batch.lightness.clone().index_copy_(0, at, degraded))
            yield batch

    def _converted(self, codes: Tensor, rows: Tensor, flipped: int, labels: Tensor) -> Batch:
        """Return the photos `codes[rows]`, of which the first `flipped` are mirrored."""
        _, _, height, width = codes.shape
        lightness, chroma = (
            torch.empty((len(rows), planes, height, width), device=self._device, memory_format=self._memory_format)
            for planes in (1, 2)
        )
        if self._one_by_one:  # no photo is copied first, and each stays in the CPU cache between passes
            parts = zip(rows.tolist(), lightness.unbind(), chroma.unbind(), strict=True)
            for i, (row, lightness_part, chroma_part) in enumerate(parts):
                self._convert(codes[row], i < flipped, lightness_part, chroma_part)
        else:
            for part, flip in ((slice(0, flipped), True), (slice(flipped, None), False)):
                self._convert(codes.index_select(0, rows[part]), flip, lightness[part], chroma[part])
        return Batch(lightness, chroma, labels, lightness)

    def _convert(self, codes: Tensor, flip: bool, lightness: Tensor, chroma: Tensor) -> None:
        """Convert codes (..., 3, H, W) into lightness (..., 1, H, W) and chroma (..., 2, H, W), in place."""
        L, ab = (codes.flip(-1) if flip else codes).split([1, 2], dim=-3)
        torch.add(self._terms[0], lightness.copy_(L), alpha=self._factors[0], out=lightness)
        if self._memory_format == torch.channels_last:
            planes = ab.float()
            torch.add(self._terms[1], planes, alpha=self._factors[1], out=planes)
            # Write the interleaved planes as complex numbers: twice as fast as a strided copy in torch.
            torch.complex(*planes.unbind(-3), out=torch.view_as_complex(chroma.movedim(-3, -1)))
        else:
            torch.add(self._terms[1], chroma.copy_(ab), alpha=self._factors[1], out=chroma)

    def _read_ahead(self, steps: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield the codes of each step, in the computer's memory."""
        reading: deque[Future[Tensor]] = deque()
        with ThreadPoolExecutor(1) as pool:
            try:
                for rows in steps:
                    reading.append(pool.submit(self._read, rows))
                    if len(reading) > AHEAD:
                        yield reading.popleft().result()
                while reading:
                    yield reading.popleft().result()
            finally:  # also if the caller stops in the middle of an epoch
                pool.shutdown(cancel_futures=True)

    def _read(self, rows: Tensor) -> Tensor:
        shape = (len(rows), *self._codes.shape[1:])
        codes = torch.empty(shape, dtype=self._codes.dtype, pin_memory=self._device.type == "cuda")
        return torch.index_select(self._codes, 0, rows, out=codes)


def _room(device: torch.device) -> int:
    """Return how many bytes of codes may stay on the device, so that networks and other data have room."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // 3
    if device.type == "cpu":
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return 0


def _keep_freed_memory() -> None:
    """Let the process reuse the memory of one batch for the next, which halves the time of a batch of 50 MB.

    glibc returns freed blocks over a threshold to the system. The pages of the next batch are then cleared anew, with
    one page fault each. The threshold rises to the largest block freed so far, up to 32 MiB (M_MMAP_THRESHOLD in
    mallopt(3)). Freeing a block that was never touched is enough.
    """
    torch.empty(31 << 20, dtype=torch.uint8)
