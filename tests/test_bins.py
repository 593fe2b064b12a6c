"""The bins of ab against the whole RGB cube, SciPy's nearest neighbors, and cases worked by hand."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from skimage.color import rgb2lab
from torch import Tensor

from tintype.color.bins import (
    BINS,
    _cell,
    _tables,
    annealed_mean,
    bin_centers,
    soft_encode,
)
from tintype.color.lab import rgb_to_lab
from tintype.data.cache import LabSplit
from tintype.data.lab_codes import encode
from tintype.losses.rebalancing import prior_of, rebalancing


def plane(*colors: tuple[float, float]) -> Tensor:
    """Some ab as a row of pixels: (1, 2, 1, n)."""
    return torch.tensor(colors).T.reshape(1, 2, 1, -1)


def index_of(a: float, b: float) -> int:
    return int((bin_centers() == torch.tensor([a, b])).all(dim=1).nonzero())


def one_hot(*bins: int) -> Tensor:
    """Logits (1, Q, 1, n), each pixel sure of one bin."""
    return 1e4 * torch.nn.functional.one_hot(torch.tensor(bins), BINS).T.reshape(1, BINS, 1, -1).float()


def split_of(rgb: Tensor) -> LabSplit:
    n = len(rgb)
    return LabSplit(encode(rgb_to_lab(rgb), "exact").numpy(), np.full(n, -1), [str(i) for i in range(n)], [])


# centers


def test_the_bins_are_the_corners_of_every_cell_in_gamut():
    """All 16,777,216 colors by scikit-image."""
    green, blue = np.meshgrid(np.arange(256) / 255, np.arange(256) / 255, indexing="ij")
    cells = np.zeros(24 * 24, dtype=np.int64)
    for red in range(256):
        ab = rgb2lab(np.stack([np.full_like(green, red / 255), green, blue], axis=-1))[..., 1:]
        cells += np.bincount((np.floor(ab / 10) + 12).astype(np.int64).reshape(-1, 2) @ [24, 1], minlength=24 * 24)
    corners = {(a + i, b + j) for a, b in np.argwhere(cells.reshape(24, 24)) for i in (0, 1) for j in (0, 1)}
    assert sorted(corners) == [tuple(c) for c in (bin_centers() / 10 + 12).int().tolist()]
    assert bin_centers().shape == (BINS, 2) == (309, 2)
    assert bin_centers().dtype == torch.float32
    assert bin_centers().min(dim=0).values.tolist() == [-90, -110]
    assert bin_centers().max(dim=0).values.tolist() == [100, 100]


# soft encoding


def test_a_pixel_on_a_bin_by_hand():
    """Its own bin, and four at a distance of 10: exp(-100 / 50) each."""
    encoded = soft_encode(plane((0, 0), (20, -30)))
    side = math.exp(-2)
    for pixel, (a, b) in enumerate([(0, 0), (20, -30)]):
        shares = encoded[0, :, 0, pixel]
        assert float(shares[index_of(a, b)]) == pytest.approx(1 / (1 + 4 * side))
        for neighbor in [(a + 10, b), (a - 10, b), (a, b + 10), (a, b - 10)]:
            assert float(shares[index_of(*neighbor)]) == pytest.approx(side / (1 + 4 * side))
        assert int((shares > 0).sum()) == 5


def by_brute_force(ab: np.ndarray) -> np.ndarray:
    """(N, 2) -> (N, Q): the paper's text, with SciPy's search among all bins."""
    distances, which = cKDTree(bin_centers().numpy()).query(ab, 5)
    weights = np.exp(-(distances**2) / (2 * 5**2))
    encoded = np.zeros((len(ab), BINS))
    np.put_along_axis(encoded, which, weights / weights.sum(axis=1, keepdims=True), axis=1)
    return encoded


def test_soft_encoding_is_that_of_a_search_among_all_bins():
    """Over the whole plane, gamut or not; random colors have no ties."""
    ab = np.random.default_rng(0).uniform(-115, 115, (1, 2, 150, 100)).astype(np.float32)
    ours = soft_encode(torch.from_numpy(ab))
    want = by_brute_force(ab[0].reshape(2, -1).T)
    assert ours.shape == (1, BINS, 150, 100)
    np.testing.assert_allclose(ours[0].flatten(1).T, want, atol=1e-4)


def test_candidates_hold_the_nearest_wherever_a_color_lies():
    """Every quarter of a unit; with ties the bins may be others, their distances not."""
    steps = np.arange(-110, 110.25, 0.25, dtype=np.float32)
    ab = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    want, _ = cKDTree(bin_centers().numpy()).query(ab, 5)
    bins = _tables(torch.device("cpu")).candidates[_cell(torch.from_numpy(ab))]
    found = (bin_centers()[bins] - torch.from_numpy(ab)[:, None]).norm(dim=2).sort(dim=1).values[:, :5]
    np.testing.assert_allclose(found, want, atol=1e-4)


# annealed mean


def test_annealed_mean_by_hand():
    """Shares of 3/4 and 1/4 at temperature 1; sharpened to 9/10 and 1/10 at 1/2."""
    logits = torch.full((1, BINS, 1, 1), -1e4)
    logits[0, [index_of(10, 0), index_of(-10, 40)], 0, 0] = torch.tensor([3.0, 1.0]).log()
    torch.testing.assert_close(annealed_mean(logits, 1.0).flatten(), torch.tensor([5.0, 10.0]))
    torch.testing.assert_close(annealed_mean(logits, 0.5).flatten(), torch.tensor([8.0, 4.0]))
    odds = 3 ** (1 / 0.38)
    assert float(annealed_mean(logits)[0, 1]) == pytest.approx(40 / (1 + odds), rel=1e-5)


def test_its_limits_are_the_mode_and_the_mean():
    logits = torch.randn(2, BINS, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mean = np.einsum("bqhw,qc->bchw", torch.softmax(logits, dim=1), bin_centers())
    np.testing.assert_allclose(annealed_mean(logits, 1.0), mean, atol=1e-4)
    mode = bin_centers()[logits.argmax(dim=1)].permute(0, 3, 1, 2)
    torch.testing.assert_close(annealed_mean(logits, 1e-4), mode)


def test_it_has_a_gradient_and_keeps_its_precision_under_autocast():
    logits = torch.randn(1, BINS, 2, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        decoded = annealed_mean(logits)
    assert decoded.dtype == torch.float32
    torch.testing.assert_close(decoded, annealed_mean(logits))
    decoded.sum().backward()
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())
    assert float(logits.grad.abs().max()) > 0


def test_colors_come_back_from_their_encoding():
    """Within 2 units on average, the mode within half a cell: the encoding is a blur of 5 over a grid of 10."""
    rgb = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    ab = rgb_to_lab(rgb)[:, 1:]
    encoded = soft_encode(ab)
    torch.testing.assert_close(encoded.sum(dim=1), torch.ones(1, 64, 64))
    error = (annealed_mean(encoded.log()) - ab).norm(dim=1)
    assert float(error.mean()) < 2
    assert float(error.max()) < 7.1
    mode = annealed_mean(encoded.log(), 1e-3)
    assert float((mode - ab).abs().max()) <= 5.01


def test_it_compiles_without_a_break():
    logits = torch.randn(1, BINS, 2, 2, generator=torch.Generator().manual_seed(0))
    compiled = torch.compile(annealed_mean, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(logits), annealed_mean(logits))


def test_a_first_call_in_inference_mode_spoils_no_later_gradient():
    bin_centers.cache_clear()
    _tables.cache_clear()
    with torch.inference_mode():
        annealed_mean(one_hot(0))
    logits = torch.zeros(1, BINS, 1, 1, requires_grad=True)
    annealed_mean(logits).sum().backward()


# priors and rebalancing


def test_prior_counts_nearest_bins():
    rgb = torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    rgb[0] = 0.5  # gray
    split = split_of(rgb)
    ab = rgb_to_lab(rgb)[:, 1:].permute(0, 2, 3, 1).reshape(-1, 2)
    _, nearest = cKDTree(bin_centers().numpy()).query(ab.numpy())
    want = np.bincount(nearest, minlength=BINS) / len(nearest)
    for batch_size in (1, 3, 64):
        prior = prior_of(split, batch_size)
        np.testing.assert_allclose(prior, want, atol=1.5 / len(nearest))  # the cache rounds colors
        assert float(prior.sum()) == pytest.approx(1)
    assert float(prior[index_of(0, 0)]) > 0.2


def smoothed(prior: np.ndarray) -> np.ndarray:
    """Each bin's share spread over all bins by a Gaussian, sigma 5, written out."""
    centers, smooth = bin_centers().numpy(), np.zeros(BINS)
    for share, center in zip(prior, centers, strict=True):
        kernel = np.exp(-((centers - center) ** 2).sum(axis=1) / (2 * 5**2))
        smooth += share * kernel / kernel.sum()
    return smooth


def test_rebalancing_is_equation_4():
    prior = np.random.default_rng(0).dirichlet(np.full(BINS, 0.1))
    weights = rebalancing(torch.from_numpy(prior)).numpy()
    smooth = smoothed(prior)
    want = 1 / (0.5 * smooth + 0.5 / BINS)
    np.testing.assert_allclose(weights, want / (smooth * want).sum(), rtol=1e-6)
    assert (smooth * weights).sum() == pytest.approx(1)


def test_rare_colors_weigh_more_but_never_without_bound():
    """Where all is gray, a color never seen weighs 1 + Q p~ times as much: lambda keeps it finite."""
    prior = torch.zeros(BINS)
    prior[index_of(0, 0)] = 1
    weights = rebalancing(prior)
    assert int(weights.argmin()) == index_of(0, 0)
    share = 1 / (1 + 4 * math.exp(-2) + 4 * math.exp(-4))  # what smoothing leaves in the middle; further away: e^-8
    assert float(weights.max() / weights.min()) == pytest.approx(1 + BINS * share, rel=2e-3)


def test_an_even_prior_weighs_all_bins_about_alike():
    """Not quite: at the gamut's edge smoothing keeps what has nowhere to go."""
    weights = rebalancing(torch.full((BINS,), 1 / BINS))
    assert 0.85 < float(weights.min()) <= 1 <= float(weights.max()) < 1.15
