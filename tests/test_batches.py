"""Batches: the cache's photos in network units, the same ones for the same seed wherever they are read from."""

import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tintype.color import lab_to_net, lab_to_rgb, net_to_lab, rgb8_to_lab, to_uint8
from tintype.data import batches as batches_module
from tintype.data.batches import Batch, Batches
from tintype.data.cache import CODES, LabSplit, decode, encode

N, SIZE = 23, 16


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
    batches = Batches(split, 5, "cpu", seed=1, flip=0.5)
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
        for batch in Batches(split, 5, "cpu", seed=1, flip=flip).epoch(0):
            wanted = originals[batch.labels]
            assert torch.equal(rgb8(batch), wanted.flip(2) if flip else wanted)


def test_seed_and_epoch_alone_decide(split: LabSplit) -> None:
    torch.manual_seed(0)
    first = list(Batches(split, 5, "cpu", seed=1).epoch(3))
    torch.manual_seed(99)
    again = Batches(split, 5, "cpu", seed=1)
    list(again.epoch(0))
    state = torch.get_rng_state()
    assert_same(first, again.epoch(3))
    assert torch.equal(torch.get_rng_state(), state)
    assert seen(Batches(split, 5, "cpu", seed=2).epoch(3)) != seen(first)


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
    one_by_one, in_pieces = (Batches(split, 5, "cpu", seed=1, flip=flip, memory_format=memory_format) for _ in range(2))
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


def test_the_processes_share_every_batch(split: LabSplit) -> None:
    alone = Batches(split, 6, "cpu", seed=1)
    shares = [Batches(split, 6, "cpu", seed=1, rank=rank, world=3) for rank in range(3)]
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
