"""Batches: the cache's photos in network units, the same ones for the same seed wherever they are read from."""

import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tintype.color.lab import lab_to_net, lab_to_rgb, net_to_lab, rgb8_to_lab, to_uint8
from tintype.data import batches as batches_module
from tintype.data.batches import Batch, Batches
from tintype.data.cache import LabSplit
from tintype.data.cropping import crop_and_resize, random_boxes
from tintype.data.lab_codes import CODES, decode, encode

N, SIZE = 23, 16
AUGMENTED: list[dict[str, float]] = [{}, {"crop_scale": 0.5}, {"degradation_probability": 0.5}]


def photos() -> np.ndarray:
    """(N, SIZE, SIZE, 3) uint8."""
    return np.random.default_rng(0).integers(0, 256, (N, SIZE, SIZE, 3), dtype=np.uint8)


def make_split(folder: Path, precision: str = "exact") -> LabSplit:
    """A memory-mapped split whose labels number the photos."""
    codes = np.stack([encode(rgb8_to_lab(rgb), precision).numpy() for rgb in photos()])  # type: ignore[arg-type]
    np.save(folder / f"{precision}.npy", codes)
    mapped = np.load(folder / f"{precision}.npy", mmap_mode="r")
    return LabSplit(mapped, np.arange(N, dtype=np.int64), [str(i) for i in range(N)], [str(i) for i in range(N)])


@pytest.fixture
def split(tmp_path: Path) -> LabSplit:
    return make_split(tmp_path)


def seen(batches: Iterable[Batch]) -> list[list[int]]:
    return [batch.labels.tolist() for batch in batches]


def assert_same(left: Iterable[Batch], right: Iterable[Batch]) -> None:
    for a, b in zip(left, right, strict=True):
        for x, y in zip(a, b, strict=True):
            assert torch.equal(x, y)


def rgb8(batch: Batch) -> Tensor:
    return to_uint8(lab_to_rgb(net_to_lab(batch.lightness, batch.chroma))).permute(0, 2, 3, 1)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("precision", sorted(CODES))
def test_a_batch_is_the_decoded_codes_in_network_units(
    tmp_path: Path, precision: str, memory_format: torch.memory_format
) -> None:
    split = make_split(tmp_path, precision)
    batches = Batches(split, 5, "cpu", seed=1, memory_format=memory_format)
    lightness, chroma = lab_to_net(decode(split.codes))
    start = 0
    for batch in batches.in_order(5):
        stop = start + len(batch.labels)
        torch.testing.assert_close(batch.lightness, lightness[start:stop], atol=5e-7, rtol=0)
        torch.testing.assert_close(batch.chroma, chroma[start:stop], atol=5e-7, rtol=0)
        assert batch.labels.tolist() == list(range(start, stop))
        assert batch.chroma.dtype == batch.lightness.dtype == torch.float32
        assert batch.lightness.is_contiguous(memory_format=memory_format)
        assert batch.chroma.is_contiguous(memory_format=memory_format)
        start = stop
    assert start == N


def test_8_bit_photos_come_back_from_network_units(split: LabSplit) -> None:
    (batch,) = Batches(split, 4, "cpu", seed=1).in_order(N)
    assert torch.equal(rgb8(batch), torch.from_numpy(photos()))


def test_an_epoch_shows_photos_once_and_the_rest_another_time(split: LabSplit) -> None:
    batches = Batches(split, 5, "cpu", seed=1)
    epochs = [seen(batches.epoch(n)) for n in range(20)]
    for epoch in epochs:
        assert [len(labels) for labels in epoch] == [5] * 4 == [5] * len(batches)
        assert len({label for labels in epoch for label in labels}) == 20
    assert len({str(epoch) for epoch in epochs}) == 20
    assert {label for epoch in epochs for labels in epoch for label in labels} == set(range(N))


def test_flips_move_whole_photos(split: LabSplit) -> None:
    """Lightness and chroma together: each photo is the original or its exact mirror image; about half are."""
    batches = Batches(split, 5, "cpu", seed=1, hflip_probability=0.5)
    originals = torch.from_numpy(photos())
    mirrored = []
    for n in range(20):
        for batch in batches.epoch(n):
            for rgb, label in zip(rgb8(batch), batch.labels, strict=True):
                mirrored.append(not torch.equal(rgb, originals[label]))
                assert torch.equal(rgb.flip(1) if mirrored[-1] else rgb, originals[label])
    assert len(mirrored) == 400
    assert 0.4 < np.mean(mirrored) < 0.6
    for flip in (0, 1):
        for batch in Batches(split, 5, "cpu", seed=1, hflip_probability=flip).epoch(0):
            wanted = originals[batch.labels]
            assert torch.equal(rgb8(batch), wanted.flip(2) if flip else wanted)


@pytest.mark.parametrize("options", AUGMENTED)
def test_seed_and_epoch_alone_decide(split: LabSplit, options: dict[str, float]) -> None:
    torch.manual_seed(0)
    first = list(Batches(split, 5, "cpu", seed=1, **options).epoch(3))
    torch.manual_seed(99)
    again = Batches(split, 5, "cpu", seed=1, **options)
    list(again.epoch(0))
    state = torch.get_rng_state()
    assert_same(first, again.epoch(3))
    assert torch.equal(torch.get_rng_state(), state)
    assert seen(Batches(split, 5, "cpu", seed=2, **options).epoch(3)) != seen(first)


def test_crop_boxes_lie_inside_with_the_area_and_shape_asked_for() -> None:
    boxes = random_boxes(5000, 0.3, torch.Generator().manual_seed(0)).double()
    width, height = (boxes[:, 2:] - boxes[:, :2]).unbind(1)
    area, ratio = width * height, width / height
    assert boxes.min() >= 0
    assert boxes.max() <= 1 + 1e-6
    assert 0.3 - 1e-6 < area.min() < 0.31
    assert 0.99 < area.max() <= 1 + 1e-6
    assert 3 / 4 - 1e-6 < ratio.min() < 0.76
    assert 1.32 < ratio.max() < 4 / 3 + 1e-6
    # at any free place, evenly
    place = boxes[:, :2] / (1 - torch.stack([width, height], dim=1))
    assert (place.mean(dim=0) - 0.5).abs().max() < 0.02
    whole = random_boxes(9, 1.0, torch.Generator().manual_seed(0))
    assert torch.equal(whole, torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(9, 4))


def test_crops_are_bilinear_samples_of_the_box() -> None:
    """As PyTorch's affine grid has them."""
    photos = torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.25, 0.1, 0.9, 0.7]])
    scale, middle = boxes[:, 2:] - boxes[:, :2], boxes[:, 2:] + boxes[:, :2] - 1
    theta = torch.cat([torch.diag_embed(scale), middle[..., None]], dim=2)
    grid = F.affine_grid(theta, [2, 3, 24, 24], align_corners=False)
    wanted = F.grid_sample(photos, grid, padding_mode="border", align_corners=False)
    torch.testing.assert_close(crop_and_resize(photos, boxes, 24), wanted, atol=1e-5, rtol=0)
    assert torch.equal(crop_and_resize(photos[:1], boxes[:1], 20), photos[:1])


@pytest.mark.parametrize("side", [8, 4])
def test_a_smaller_photo_has_the_mean_of_its_pixels(split: LabSplit, side: int) -> None:
    """Nothing aliases: the photos are noise."""
    for whole, small in zip(
        Batches(split, 5, "cpu", seed=1).epoch(0), Batches(split, 5, "cpu", seed=1).epoch(0, side), strict=True
    ):
        assert torch.equal(whole.labels, small.labels)
        for full, found in ((whole.lightness, small.lightness), (whole.chroma, small.chroma)):
            torch.testing.assert_close(found, F.interpolate(full, (side, side), mode="area"), atol=1e-6, rtol=0)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_crop_is_of_one_photo_and_takes_its_planes_together(memory_format: torch.memory_format) -> None:
    """Of photos that brighten to the right by their number, and whose a and b follow L."""
    ramp = np.broadcast_to(np.linspace(0, 1, SIZE), (SIZE, SIZE))
    lab = np.stack([np.stack([60 + i + 10 * ramp, 10 * ramp, -5 * ramp]) for i in range(N)])
    codes = encode(torch.from_numpy(lab), "exact").numpy()
    split = LabSplit(codes, np.arange(N, dtype=np.int64), [""] * N, [""] * N)
    ranges = []
    for epoch in range(4):
        batches = Batches(split, 5, "cpu", seed=1, crop_scale=0.3, memory_format=memory_format)
        for batch in batches.epoch(epoch, 24):
            assert batch.lightness.shape == (5, 1, 24, 24)
            assert batch.chroma.is_contiguous(memory_format=memory_format)
            L, a, b = net_to_lab(batch.lightness, batch.chroma).split(1, dim=1)
            torch.testing.assert_close(a, L - (60 + batch.labels[:, None, None, None]), atol=0.01, rtol=0)
            torch.testing.assert_close(b, -a / 2, atol=0.01, rtol=0)
            ranges += (a.amax(dim=(1, 2, 3)) - a.amin(dim=(1, 2, 3))).tolist()
    assert len(set(ranges)) > 0.9 * len(ranges)  # each photo and epoch its own; alike are those of the whole width
    assert min(ranges) > 10 * (0.3 * 3 / 4) ** 0.5 - 1  # width of the narrowest crop, less half a pixel on each side


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("options", AUGMENTED)
def test_a_gpu_augments_as_a_cpu_does(split: LabSplit, options: dict[str, float]) -> None:
    on_cpu, on_gpu = (Batches(split, 5, device, seed=1, **options) for device in ("cpu", "cuda"))
    for a, b in zip(on_cpu.epoch(1, 12), on_gpu.epoch(1, 12), strict=True):
        for x, y in zip(a, b, strict=True):
            torch.testing.assert_close(x, y.cpu(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_photos_that_do_not_fit_come_the_same(
    split: LabSplit, monkeypatch: pytest.MonkeyPatch, memory_format: torch.memory_format
) -> None:
    held = Batches(split, 5, "cpu", seed=1, memory_format=memory_format)
    monkeypatch.setattr(batches_module, "_room", lambda device: 0)
    read = Batches(split, 5, "cpu", seed=1, memory_format=memory_format)
    for n in range(3):
        assert_same(held.epoch(n), read.epoch(n))
    assert_same(held.in_order(7), read.in_order(7))


@pytest.mark.parametrize("flip", [0, 0.5, 1])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_batch_in_two_pieces_is_the_same(split: LabSplit, memory_format: torch.memory_format, flip: float) -> None:
    """The way of other devices, tried on the CPU."""
    one_by_one, in_pieces = (
        Batches(split, 5, "cpu", seed=1, hflip_probability=flip, memory_format=memory_format) for _ in range(2)
    )
    in_pieces._one_by_one = False
    for a, b in zip(one_by_one.epoch(1), in_pieces.epoch(1), strict=True):
        torch.testing.assert_close(tuple(a), tuple(b), atol=1e-7, rtol=0)


def test_an_epoch_may_be_left_early(split: LabSplit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches_module, "_room", lambda device: 0)
    batches = Batches(split, 2, "cpu", seed=1)
    epoch = batches.epoch(0)
    first = next(epoch)
    epoch.close()  # type: ignore[attr-defined]
    assert_same([first], [next(batches.epoch(0))])


@pytest.mark.parametrize("options", AUGMENTED)
def test_the_processes_share_every_batch(split: LabSplit, options: dict[str, float]) -> None:
    alone = Batches(split, 6, "cpu", seed=1, **options)
    shares = [Batches(split, 6, "cpu", seed=1, rank=rank, world=3, **options) for rank in range(3)]
    for whole, *parts in zip(alone.epoch(2), *(share.epoch(2) for share in shares), strict=True):
        assert [len(part.labels) for part in parts] == [2, 2, 2]
        together = Batch(*(torch.cat(values) for values in zip(*parts, strict=True)))
        for values, wanted in zip(together, whole, strict=True):
            assert torch.equal(values[together.labels.argsort()], wanted[whole.labels.argsort()])


def test_a_split_smaller_than_a_batch_is_one_batch(split: LabSplit) -> None:
    batches = Batches(split, 100, "cpu", seed=1)
    assert len(batches) == 1
    assert [sorted(labels) for labels in seen(batches.epoch(0))] == [list(range(N))]
    pair = Batches(split, 100, "cpu", seed=1, rank=1, world=2)
    assert [len(labels) for labels in seen(pair.epoch(0))] == [11]


def test_an_empty_split_has_no_batches() -> None:
    empty = LabSplit(np.zeros((0, 3, SIZE, SIZE), np.int16), np.zeros(0, np.int64), [], [])
    batches = Batches(empty, 4, "cpu", seed=1)
    assert (len(batches), list(batches.epoch(0)), list(batches.in_order(4))) == (0, [], [])


def test_unequal_shares_are_refused(split: LabSplit) -> None:
    with pytest.raises(ValueError, match="2 processes cannot share batches of 5 from 23 photos equally"):
        Batches(split, 5, "cpu", seed=1, world=2)


def test_batches_belong_to_the_caller(split: LabSplit) -> None:
    """Spoiling one changes neither the next nor the cache, and nothing warns of the read-only file."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batches = Batches(split, 5, "cpu", seed=1)
    before = [Batch(*(values.clone() for values in batch)) for batch in batches.epoch(0)]
    for batch in batches.epoch(0):
        for values in batch:
            values.zero_()
    assert_same(before, batches.epoch(0))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_photos_held_or_read(split: LabSplit, monkeypatch: pytest.MonkeyPatch) -> None:
    on_cpu, held = Batches(split, 5, "cpu", seed=1), Batches(split, 5, "cuda", seed=1)
    monkeypatch.setattr(batches_module, "_room", lambda device: 0)
    read = Batches(split, 5, "cuda", seed=1)
    assert_same(held.epoch(1), read.epoch(1))
    for a, b in zip(on_cpu.epoch(1), held.epoch(1), strict=True):
        assert a.labels.tolist() == b.labels.tolist()
        torch.testing.assert_close(a.chroma, b.chroma.cpu(), atol=5e-7, rtol=0)
        torch.testing.assert_close(a.lightness, b.lightness.cpu(), atol=5e-7, rtol=0)
