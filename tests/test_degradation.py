"""Degraded lightness: each way against an independent implementation, and what of a batch stays untouched."""

import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import fft, ndimage
from torch import Tensor

from tintype.color.lab import lab_to_rgb, net_to_lab
from tintype.color.spaces import SPACES
from tintype.data.batches import Batch, Batches
from tintype.data.cache import LabSplit
from tintype.data.degradation import (
    SHIFTS,
    SIDE,
    add_border,
    add_grain,
    adjust_contrast,
    adjust_gamma,
    blur,
    compress_jpeg,
    degrade,
    draw_degradation,
    draw_noise,
)

N, SIZE = 40, 24


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth(count: int, side: int) -> Tensor:
    """(count, 1, side, side) in [0, 1]: noise of the size of things, multiples of 1/255."""
    noise = np.random.default_rng(0).random((count, side, side))
    photos = np.stack([ndimage.gaussian_filter(one, 2) for one in noise])
    low, high = photos.min(axis=(1, 2), keepdims=True), photos.max(axis=(1, 2), keepdims=True)
    return torch.from_numpy(np.round(255 * (photos - low) / (high - low)) / 255).float().unsqueeze(1)


def test_blur_is_scipys() -> None:
    photos, sigmas = torch.rand(4, 1, 40, 40, generator=rng()), [0.0, 0.4, 1.0, 2.5]
    blurred = blur(photos, torch.tensor(sigmas))
    assert torch.equal(blurred[0], photos[0])
    for photo, found, sigma in zip(photos[1:, 0].double().numpy(), blurred[1:, 0], sigmas[1:], strict=True):
        # normalized convolution: what lies outside has no weight
        weight, total = (
            ndimage.gaussian_filter(x, sigma, mode="constant", truncate=5.0) for x in (np.ones_like(photo), photo)
        )
        np.testing.assert_allclose(found, total / weight, atol=2e-5)


def test_contrast_and_gamma_by_hand() -> None:
    photos = torch.tensor([0.0, 0.25, 0.5, 1.0]).expand(3, 1, 1, 4)
    flat_harsh_same = adjust_contrast(photos, torch.tensor([0.2, -0.2, 0.0]), torch.tensor([0.8, 1.2, 1.0]))
    torch.testing.assert_close(flat_harsh_same[0, 0, 0], torch.tensor([0.2, 0.35, 0.5, 0.8]))
    torch.testing.assert_close(flat_harsh_same[1, 0, 0], torch.tensor([0.0, 0.15, 0.5, 1.0]))
    assert torch.equal(flat_harsh_same[2], photos[2])
    darker_lighter_same = adjust_gamma(photos, torch.tensor([2.0, 0.5, 1.0]))
    torch.testing.assert_close(darker_lighter_same[0, 0, 0], torch.tensor([0.0, 0.0625, 0.25, 1.0]))
    torch.testing.assert_close(darker_lighter_same[1, 0, 0], torch.tensor([0.0, 0.5, 0.5**0.5, 1.0]))
    assert torch.equal(darker_lighter_same[2], photos[2])


def test_grain_is_gaussian_of_its_strength_and_size() -> None:
    gray = torch.full((3, 1, 200, 200), 0.5)
    noise = torch.randn(3, 1, 200, 200, generator=rng())
    strengths, sizes = torch.tensor([0.0, 0.02, 0.05]), torch.tensor([1.0, 0.0, 1.5])
    none, white, coarse = (add_grain(gray, noise, strengths, sizes) - gray)[:, 0]
    assert not none.any()
    torch.testing.assert_close(white, 0.02 * noise[1, 0], atol=1e-6, rtol=0)
    assert coarse.std() == pytest.approx(0.05, rel=0.05)
    inner = slice(20, -20)
    scipys = ndimage.gaussian_filter(noise[2, 0].double().numpy(), 1.5, truncate=5.0)[inner, inner]
    assert np.corrcoef(coarse[inner, inner].flatten(), scipys.flatten())[0, 1] > 0.9999


def test_borders_cover_the_edges_alone() -> None:
    photos = torch.rand(2, 1, 100, 100, generator=rng())
    widths, levels = torch.tensor([[0.05, 0.1, 0.0, 0.02], [0.0, 0.0, 0.0, 0.0]]), torch.tensor([0.03, 0.95])
    bordered = add_border(photos, widths, levels)
    assert torch.equal(bordered[0, :, 10:98, 5:], photos[0, :, 10:98, 5:])
    assert (bordered[0, 0, :10] == levels[0]).all()
    assert (bordered[0, 0, 98:] == levels[0]).all()
    assert (bordered[0, 0, :, :5] == levels[0]).all()
    assert torch.equal(bordered[1], photos[1])


@pytest.mark.parametrize("side", [160, 150])
def test_blocks_are_those_of_pillows_jpegs(side: int) -> None:
    """But for coefficients near a half step: libjpeg computes in integers, and rounds some of them the other way."""
    qualities = [15, 35, 60, 100]
    photos = smooth(len(qualities), side)
    found = compress_jpeg(photos, torch.tensor(qualities).float())
    for photo, ours, quality in zip(photos[:, 0], found[:, 0], qualities, strict=True):
        file = io.BytesIO()
        Image.fromarray((photo * 255).round().byte().numpy()).save(file, "JPEG", quality=quality)
        pillows = np.asarray(Image.open(file), float)
        difference = np.abs(ours.numpy() * 255 - pillows)
        lost = np.abs(photo.numpy() * 255 - pillows).mean()
        if quality == 100:
            assert difference.max() <= 2.01
        else:
            assert lost > 1
            assert difference.mean() < 0.12 * lost


def test_the_dct_is_scipys() -> None:
    """Of one block with quality 100, whose steps are 1, only rounded coefficients are left."""
    block = smooth(1, 8)
    coefficients = fft.dctn(block[0, 0].double().numpy() * 255 - 128, norm="ortho")
    wanted = fft.idctn(np.round(coefficients), norm="ortho") + 128
    found = compress_jpeg(block, torch.tensor([100.0]))[0, 0] * 255
    np.testing.assert_allclose(found, np.round(wanted), atol=1.01)
    assert np.abs(found.numpy() - np.round(wanted)).mean() < 0.05


def test_draws_are_of_the_seed_and_in_range() -> None:
    how, again, other = (draw_degradation(4000, rng(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(how, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(how, other, strict=True))
    used = {
        "blur": how.blur > 0,
        "contrast": (how.black != 0) | (how.white != 1),
        "gamma": how.gamma != 1,
        "grain": how.grain > 0,
        "border": (how.border > 0).any(dim=1),
        "quality": how.quality < 100,
    }
    assert torch.stack(list(used.values())).any(dim=0).all()  # a photo that is degraded is
    for name, photos in used.items():
        assert photos.float().mean().item() == pytest.approx(32 / 63, abs=0.03), name
    assert how.blur.max() <= 1.5
    assert how.quality.min() >= 15
    assert how.border.max() <= 0.08
    assert (how.white - how.black).min() > 0.3
    assert (how.border_level < 0.1).float().mean().item() == pytest.approx(0.75, abs=0.03)


def test_blur_grows_with_the_photo() -> None:
    """A photo of twice the side, seen at its half, is degraded like the small one."""
    how = draw_degradation(8, rng())._replace(blur=torch.full((8,), 1.5), grain=torch.zeros(8))
    how = how._replace(border=torch.zeros(8, 4), quality=torch.full((8,), 100.0))
    small = smooth(8, SIDE) * 2 - 1
    large = F.interpolate(small, scale_factor=2, mode="bilinear")
    of_small, of_large = (degrade(x, how, draw_noise(x.shape[-1], rng())) for x in (small, large))
    sharp = degrade(small, how._replace(blur=torch.zeros(8)), draw_noise(SIDE, rng()))
    inner = (..., slice(8, -8), slice(8, -8))  # the edges see less
    difference, lost = (F.avg_pool2d(of_large, 2) - of_small)[inner], (sharp - of_small)[inner]
    assert lost.abs().mean() > 0.04
    assert difference.abs().mean() < 0.2 * lost.abs().mean()


@pytest.fixture
def split() -> LabSplit:
    codes = np.random.default_rng(0).integers(-20000, 20000, (N, 3, SIZE, SIZE)).astype(np.int16)
    codes[:, 0] = np.random.default_rng(1).integers(0, 30000, (N, SIZE, SIZE))
    return LabSplit(codes, np.arange(N, dtype=np.int64), [""] * N, [""] * N)


def epoch(split: LabSplit, **options: float) -> list[Batch]:
    return list(Batches(split, 8, "cpu", seed=1, memory_format=torch.channels_last, **options).epoch(3))


@pytest.mark.parametrize("crop_scale", [1.0, 0.5])
def test_what_must_be_predicted_stays(split: LabSplit, crop_scale: float) -> None:
    shown = 0
    for plain, batch in zip(
        epoch(split, crop_scale=crop_scale),
        epoch(split, crop_scale=crop_scale, degradation_probability=0.5),
        strict=True,
    ):
        assert plain.seen is plain.lightness
        assert torch.equal(plain.lightness, batch.lightness)
        assert torch.equal(plain.chroma, batch.chroma)
        assert torch.equal(plain.labels, batch.labels)
        assert batch.seen.shape == batch.lightness.shape
        assert batch.seen.stride() == batch.lightness.stride()
        assert batch.seen.abs().max() <= 1
        shown += int((batch.seen != batch.lightness).flatten(1).any(dim=1).sum())
    assert 12 <= shown <= 28  # of 40


def test_a_batch_shows_each_photo_as_its_own_degradation_is(split: LabSplit) -> None:
    """Degraded alone or in a batch, by one process or three: the same but for the last bits of sums."""
    of_one = {
        int(label): seen
        for batch in Batches(split, 8, "cpu", seed=1, degradation_probability=1.0).epoch(2)
        for label, seen in zip(batch.labels, batch.seen, strict=True)
    }
    assert len(of_one) == N
    for rank in range(4):
        for batch in Batches(split, 8, "cpu", seed=1, degradation_probability=1.0, rank=rank, world=4).epoch(2):
            for label, seen in zip(batch.labels, batch.seen, strict=True):
                # a JPEG's coefficient may round another way for a last bit
                assert ((of_one[int(label)] - seen).abs() > 1e-4).float().mean() < 0.01


@pytest.mark.parametrize("name", sorted(SPACES))
def test_a_degraded_photo_is_the_gray_photo_that_it_is_in_every_space(split: LabSplit, name: str) -> None:
    space = SPACES[name]
    for batch in epoch(split, degradation_probability=0.5):
        there = batch.in_space(space)
        lightness, chroma = space.from_net_lab(batch.lightness, batch.chroma)
        assert torch.equal(there.lightness, lightness)
        assert torch.equal(there.chroma, chroma)
        gray = lab_to_rgb(net_to_lab(batch.seen, torch.zeros_like(batch.chroma)))
        degraded = (batch.seen != batch.lightness).flatten(1).any(dim=1)
        assert torch.equal(there.seen[~degraded], lightness[~degraded])
        # to_rgb of the gray photo with this lightness gives it back; 8 bits in hsv
        torch.testing.assert_close(
            space.gray(there.seen)[degraded], gray[degraded], atol=0.003 if name == "hsv" else 1e-4, rtol=0
        )
    plain = epoch(split)[0].in_space(space)
    assert plain.seen is plain.lightness


def test_noise_has_a_window_for_every_place() -> None:
    assert draw_noise(SIZE, rng()).shape == (SIZE + SHIFTS, SIZE + SHIFTS)
    last = draw_degradation(1, rng())._replace(grain_place=torch.tensor([[SHIFTS - 1, SHIFTS - 1]]))
    assert degrade(torch.zeros(1, 1, SIZE, SIZE), last, draw_noise(SIZE, rng())).isfinite().all()
