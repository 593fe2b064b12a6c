"""Every metric against something outside: scikit-image, pytorch-fid, SciPy, NumPy or a case worked by hand."""

import math
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_fid.fid_score import calculate_frechet_distance
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from tintype.color.colorfulness import colorfulness
from tintype.color.lab import lab_to_net, rgb_to_lab
from tintype.color.spaces import SPACES
from tintype.config import BASELINE_NAMES, Evaluate
from tintype.data.cache import LabSplit
from tintype.data.lab_codes import decode, encode
from tintype.errors import UserError
from tintype.features import imagenet
from tintype.features.efficientnet_lite import EfficientNetLite2
from tintype.features.network import FeatureNetwork
from tintype.features.reference import Reference, displayed_rgb, lab_planes, make_reference
from tintype.metrics import distributions
from tintype.metrics import evaluation as evaluation_module
from tintype.metrics.baselines import BASELINES
from tintype.metrics.color import ciede2000
from tintype.metrics.distributions import FeatureDistances
from tintype.metrics.evaluation import evaluate as evaluate_split
from tintype.metrics.grid import best_median_worst
from tintype.metrics.pixels import absolute_error, custom_accuracy, psnr, squared_error, ssim
from tintype.metrics.predictor import Predictor
from tintype.metrics.registry import METRICS, SUFFIXES, metric_names, metric_of
from tintype.models.prediction import Prediction

CPU = torch.device("cpu")
BOTH_SPACES = Evaluate(spaces=("rgb", "lab_planes"), batch_size=8)


class Moments(FeatureNetwork):
    """Stands in for a feature network: 6 values a photo, the planes' means and deviations."""

    suffix = "_lite2"
    distance_name = "feature_distance"
    num_features = 6

    def embed(self, rgb: Tensor) -> Tensor:
        planes = rgb.flatten(2)
        return torch.cat([planes.mean(dim=2), planes.std(dim=2)], dim=1)

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        return (self.embed(a) - self.embed(b)).square().sum(dim=1)


class Published(Moments):
    suffix = ""
    distance_name = "lpips"


def smooth_photos(n: int, seed: int = 0, size: int = 24) -> Tensor:
    """(n, 3, size, size) sRGB of 8 bits in [0, 1]: patches of color, a different mean and contrast each."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 5, 5, generator=rng) * torch.rand(n, 1, 1, 1, generator=rng)
    shift = (1 - coarse.amax(dim=(1, 2, 3), keepdim=True)) * torch.rand(n, 3, 1, 1, generator=rng)
    fine = torch.nn.functional.interpolate(coarse + shift, (size, size), mode="bilinear")
    return (fine * 255).round() / 255


def split_of(rgb: Tensor) -> LabSplit:
    n = len(rgb)
    codes = encode(rgb_to_lab(rgb), "exact").numpy()
    return LabSplit(codes, np.full(n, -1), [f"{i}.png" for i in range(n)], [])


def true_chroma(split: LabSplit) -> Tensor:
    return lab_to_net(decode(split.codes))[1]


class Cheat:
    """A predictor that knows the answers: finds the photo by its lightness, returns its chroma after `spoil`."""

    def __init__(
        self, split: LabSplit, spoil: Callable[[Tensor], Tensor] = lambda chroma: chroma, space: str = "lab"
    ) -> None:
        self.lightness, chroma = SPACES[space].split(decode(split.codes))
        self.chroma = spoil(chroma)
        self.space = space
        self.classes: list[str] = []

    def predict(self, lightness: Tensor) -> Prediction:
        found = [int((self.lightness - one).abs().flatten(1).sum(dim=1).argmin()) for one in lightness]
        return Prediction(self.chroma[found])


def evaluate(predictor, split, features, config, *, inception=None, grid=None) -> dict[str, float]:
    """By the library, against a reference that is made for this once."""
    made = len(split) > 1
    reference = make_reference(split, features, config.spaces, CPU, inception) if made else Reference(features, {}, CPU)
    return evaluate_split(predictor, split, reference, config, grid)


def noisy(chroma: Tensor) -> Tensor:
    strength = torch.linspace(0, 0.2, len(chroma))[:, None, None, None]
    return chroma + strength * torch.randn(chroma.shape, generator=torch.Generator().manual_seed(9))


@pytest.fixture(scope="module")
def split() -> LabSplit:
    return split_of(smooth_photos(20))


@pytest.fixture(scope="module")
def pair(split: LabSplit) -> tuple[Tensor, Tensor]:
    """Predicted and true photos as displayed_rgb, of `Cheat(split, noisy)`."""
    lightness, chroma = lab_to_net(decode(split.codes))
    return displayed_rgb(lightness, noisy(chroma)), displayed_rgb(lightness, chroma)


@pytest.fixture(scope="module")
def metrics(split: LabSplit) -> dict[str, float]:
    return evaluate(Cheat(split, noisy), split, Moments(), BOTH_SPACES)


def hwc(photo: Tensor) -> np.ndarray:
    return photo.permute(1, 2, 0).double().numpy()


# pixels


def test_psnr_matches_scikit_image(pair):
    ours = psnr(squared_error(*pair))[1:]  # the first is perfect
    want = [peak_signal_noise_ratio(hwc(t), hwc(p), data_range=1) for p, t in list(zip(*pair, strict=True))[1:]]
    np.testing.assert_allclose(ours, want, atol=1e-4)


def test_ssim_matches_scikit_image(pair):
    """Its mean leaves out a border of 5 pixels: add one, by reflection, and both average the same pixels."""
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
    framed = [[np.pad(hwc(x), ((5, 5), (5, 5), (0, 0)), mode="reflect") for x in photos] for photos in pair]
    want = [structural_similarity(t, p, channel_axis=2, **options) for p, t in zip(*framed, strict=True)]
    assert min(want) < 0.9
    np.testing.assert_allclose(ssim(*pair), want, atol=1e-4)  # measured 4e-5: float32's variances of flat areas


@pytest.mark.parametrize(("rmse", "decibel"), [(0.206, 13.7), (0.216, 13.3), (0.1, 20.0), (1.0, 0.0)])
def test_psnr_by_hand(rmse, decibel):
    """The first two rows are of a published table that has -150.4 and -153.5 there."""
    assert float(psnr(torch.tensor(rmse**2))) == pytest.approx(decibel, abs=0.05)


def test_psnr_of_equal_photos_is_the_cap(pair):
    assert float(psnr(squared_error(pair[1], pair[1])).min()) == 100
    one_step = torch.zeros(1, 3, 64, 64)
    one_step[0, 0, 0, 0] = 1 / 255
    assert float(psnr(squared_error(one_step, torch.zeros(1, 3, 64, 64)))) == pytest.approx(
        10 * math.log10(255**2 * 3 * 64 * 64), abs=1e-3
    )


def test_pooled_figures_weigh_errors_and_the_mean_weighs_photos(metrics, pair):
    errors = squared_error(*pair).double()
    assert metrics["rmse"] == pytest.approx(float(errors.mean().sqrt()), rel=1e-6)
    assert metrics["psnr_pooled"] == pytest.approx(-20 * math.log10(metrics["rmse"]), rel=1e-6)
    assert metrics["psnr"] == pytest.approx(float(psnr(errors).mean()), rel=1e-6)
    assert metrics["psnr"] > metrics["psnr_pooled"] + 1


def test_l1_is_numpys(metrics, pair):
    predicted, truth = (photos.double().numpy() for photos in pair)
    want = np.abs(predicted - truth).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(absolute_error(*pair), want, rtol=1e-5)
    assert metrics["mae"] == pytest.approx(want.mean(), rel=1e-5)


def test_custom_accuracy_by_hand(metrics, pair):
    """Of four pixels one is too far in a single value, one in all three together."""
    truth = torch.full((2, 3, 2, 2), 0.5)
    predicted = truth.clone()
    predicted[0, :, 0, 0] += torch.tensor([0.13, 0.0, 0.0])
    predicted[0, :, 0, 1] += torch.tensor([0.0, -0.15, 0.0])
    predicted[0, :, 1, 0] -= torch.tensor([0.13, 0.13, 0.0])  # 0.184
    predicted[0, :, 1, 1] += torch.tensor([0.09, -0.09, 0.09])  # 0.156
    assert custom_accuracy(predicted, truth).tolist() == [0.5, 1.0]

    difference = (pair[0] - pair[1]).double().numpy()
    near = (np.abs(difference).max(axis=1) < 0.14) & (np.linalg.norm(difference, axis=1) < 0.17)
    assert 0.1 < near.mean() < 0.9
    assert metrics["custom_accuracy"] == pytest.approx(near.mean(), abs=1e-4)


# color


@pytest.mark.parametrize(
    ("left", "right", "want"),
    [
        ((0, 0, 0), (255, 255, 255), 0.0),  # no color, whatever the contrast
        ((255, 0, 0), (0, 0, 0), 1.3 * math.hypot(127.5, 63.75)),
        ((255, 0, 0), (0, 255, 0), 255 + 0.3 * 127.5),  # with absolute values it would be 85.5
        ((0, 0, 255), (0, 0, 255), 0.3 * 255),
    ],
)
def test_colorfulness_by_hand(left, right, want):
    photo = torch.zeros(1, 3, 4, 4)
    photo[..., :2] = torch.tensor(left).view(1, 3, 1, 1) / 255
    photo[..., 2:] = torch.tensor(right).view(1, 3, 1, 1) / 255
    assert float(colorfulness(photo)) == pytest.approx(want, abs=1e-3)


def test_ciede2000_matches_scikit_image(pair):
    from skimage.color import deltaE_ciede2000, rgb2lab

    want = [deltaE_ciede2000(rgb2lab(hwc(t)), rgb2lab(hwc(p))).mean() for p, t in zip(*pair, strict=True)]
    np.testing.assert_allclose(ciede2000(*pair), want, atol=1e-3)


def test_colorfulness_gap_is_the_distance_of_the_means(metrics, pair):
    predicted, true = (float(colorfulness(photos).double().mean()) for photos in pair)
    assert metrics["colorfulness"] == pytest.approx(predicted, rel=1e-6)
    assert metrics["colorfulness_gap"] == pytest.approx(abs(predicted - true), rel=1e-4)


# distributions


def features(n: int, seed: int, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 5)) @ rng.normal(size=(5, 5)) + shift


def distances(predicted: np.ndarray, true: np.ndarray, batch: int = 7) -> dict[str, float]:
    running = FeatureDistances(torch.from_numpy(true), len(predicted), CPU)
    for start in range(0, len(predicted), batch):
        running.update(torch.from_numpy(predicted[start : start + batch]))
    return running.compute()


def frechet(predicted: np.ndarray, true: np.ndarray) -> float:
    moments = [m for x in (predicted, true) for m in (x.mean(axis=0), np.cov(x, rowvar=False))]
    return float(calculate_frechet_distance(*moments))


def polynomial_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased squared MMD of the kernel (x.y / D + 1)^3: Bińkowski et al. 2018, eqs. 4 and 6, term by term."""
    m, d = x.shape
    k = lambda a, b: (a @ b.T / d + 1) ** 3  # noqa: E731
    within = sum((k(z, z).sum() - np.trace(k(z, z))) / (m * (m - 1)) for z in (x, y))
    return within - 2 * k(x, y).mean()


def test_fid_matches_pytorch_fid():
    predicted, true = features(40, seed=1), features(40, seed=2, shift=0.5)
    assert distances(predicted, true)["fid"] == pytest.approx(frechet(predicted, true), rel=1e-6)


def test_fid_of_fewer_photos_than_features_is_a_number():
    predicted, true = features(3, seed=1), features(3, seed=2)
    assert distances(predicted, true)["fid"] == pytest.approx(frechet(predicted, true), rel=1e-3)


def test_kid_matches_the_formula_over_all_pairs():
    predicted, true = features(40, seed=1), features(40, seed=2, shift=0.5)
    assert distances(predicted, true)["kid"] == pytest.approx(polynomial_mmd(true, predicted), rel=1e-9)


def test_kid_of_many_photos_is_a_seeded_mean_over_subsets(monkeypatch):
    monkeypatch.setattr(distributions, "KID_SUBSET", 30)
    monkeypatch.setattr(distributions, "KID_PHOTOS", 300)
    predicted, true = features(400, seed=1) / 4, features(400, seed=1, shift=2.0) / 4
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = distances(predicted, true)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    second = distances(predicted, true)
    assert first == second
    assert first["kid"] == pytest.approx(polynomial_mmd(true, predicted), rel=0.1)
    assert first["kid"] != pytest.approx(polynomial_mmd(true, predicted), rel=1e-6)


def test_kid_keeps_at_most_so_many_photos(monkeypatch):
    monkeypatch.setattr(distributions, "KID_PHOTOS", 16)
    x = torch.from_numpy(features(100, seed=1))
    running = FeatureDistances(x, 100, CPU)
    for start in range(0, 100, 9):
        running.update(x[start : start + 9])
    assert sum(map(len, running._kid.real_features)) == 16
    assert sum(map(len, running._kid.fake_features)) == 16
    running.compute()


# evaluate


@pytest.mark.parametrize("space", ["", "_lab_planes"])
def test_every_figure_is_of_its_space(metrics, split, space):
    lightness, chroma = lab_to_net(decode(split.codes))
    view = lab_planes if space else displayed_rgb
    predicted, truth = view(lightness, noisy(chroma)), view(lightness, chroma)
    network = Moments()
    embedded = [network.embed(photos).double().numpy() for photos in (predicted, truth)]
    want = {
        "ssim": float(ssim(predicted, truth).mean()),
        "rmse": float((predicted - truth).square().mean().sqrt()),
        "mae": float((predicted - truth).abs().mean()),
        "feature_distance_lite2": float(network.distance(predicted, truth).mean()),
        "fid_lite2": frechet(*embedded),
        "kid_lite2": polynomial_mmd(*embedded),
    }
    for name, value in want.items():
        assert metrics[name + space] == pytest.approx(value, rel=1e-4), name


def test_the_spaces_are_not_the_same_and_lab_planes_flatters(metrics):
    assert metrics["psnr_lab_planes"] > metrics["psnr"] + 3
    assert metrics["rmse_lab_planes"] < metrics["rmse"]


def test_white_in_lab_planes():
    white = lab_planes(*lab_to_net(rgb_to_lab(torch.ones(1, 3, 1, 1))))
    torch.testing.assert_close(white.flatten(), torch.tensor([1.0, 0.5, 0.5]), atol=1e-4, rtol=0)


RGB_NAMES = """psnr psnr_pooled ssim rmse mae custom_accuracy ciede2000 colorfulness colorfulness_gap
feature_distance_lite2 fid_lite2 kid_lite2"""
LAB_PLANES_NAMES = """psnr_lab_planes psnr_pooled_lab_planes ssim_lab_planes rmse_lab_planes mae_lab_planes
feature_distance_lite2_lab_planes fid_lite2_lab_planes kid_lite2_lab_planes"""


def test_names_are_the_documented_ones(metrics, split):
    assert list(metrics) == [*RGB_NAMES.split(), *LAB_PLANES_NAMES.split()]
    published = evaluate(BASELINES["gray"](split), split, Published(), Evaluate())
    names = RGB_NAMES.replace("feature_distance_lite2", "lpips").replace("_lite2", "").split()
    assert list(published) == names == metric_names("", ["rgb"])
    also = ["class_accuracy", "fid_torchvision"]
    assert metric_names("", ["rgb"], classes=True, torchvision=True) == [*names, *also]
    assert set(METRICS) == {*names, *also, "feature_distance"}
    assert {"efficientnet_lite": EfficientNetLite2.suffix, "imagenet": imagenet.ImageNet.suffix} == SUFFIXES


def test_metric_of_a_full_name():
    assert metric_of("fid_lite2_lab_planes") is metric_of("fid") is METRICS["fid"]
    assert metric_of("feature_distance_lite2") is METRICS["feature_distance"]
    assert metric_of("psnr_lab_planes").direction == "max"
    assert metric_of("colorfulness").direction is None
    assert metric_of("fid_torchvision") is METRICS["fid_torchvision"]
    wrong_ones = ("fidd", "psnr_lite2", "ciede2000_lab_planes", "fid_lab_planes_lite2", "")
    others = ("lpips_lite2", "feature_distance", "fid_in_domain", "fid_torchvision_lite2", "custom_accuracy_lab_planes")
    for wrong in (*wrong_ones, *others):
        with pytest.raises(UserError, match=f"metric '{wrong}': unknown; allowed: psnr"):
            metric_of(wrong)


def test_a_perfect_prediction(split):
    perfect = evaluate(Cheat(split), split, Moments(), BOTH_SPACES)
    for space in ("", "_lab_planes"):
        assert perfect["psnr" + space] == perfect["psnr_pooled" + space] == 100
        assert perfect["ssim" + space] == pytest.approx(1)
        assert perfect["rmse" + space] == perfect["mae" + space] == perfect["feature_distance_lite2" + space] == 0
        assert perfect["fid_lite2" + space] == pytest.approx(0, abs=1e-6)
        assert perfect["kid_lite2" + space] <= 0  # unbiased: what is equal scores below 0
    assert perfect["ciede2000"] == perfect["colorfulness_gap"] == 0
    assert perfect["custom_accuracy"] == 1


@pytest.mark.parametrize("space", SPACES)
def test_a_perfect_prediction_in_every_space(split, space):
    perfect = evaluate(Cheat(split, space=space), split, Moments(), Evaluate(batch_size=8))
    assert list(perfect) == RGB_NAMES.split()
    assert perfect["psnr"] == perfect["psnr_pooled"] == 100
    assert perfect["custom_accuracy"] == 1


def rgb_of(space: str, chroma: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """What a screen shows of a prediction, all (N, H, W, ...): by scikit-image, and by ITU-T T.871 written out."""
    from skimage.color import hsv2rgb

    if space == "rgb":
        return chroma
    if space == "hsv":
        return hsv2rgb(np.concatenate([chroma, truth.max(axis=-1, keepdims=True)], axis=-1))
    luma, (cb, cr) = truth @ [0.299, 0.587, 0.114], np.moveaxis(chroma - 0.5, -1, 0)
    return np.stack([luma + 1.402 * cr, luma - 0.344136 * cb - 0.714136 * cr, luma + 1.772 * cb], axis=-1)


@pytest.mark.parametrize("space", ["rgb", "hsv", "ycbcr"])
def test_figures_of_other_spaces_are_in_rgb_too(split, space):
    """The true lightness with the predicted chroma, clipped and in 8 bits."""
    spoiled = Cheat(split, lambda chroma: (noisy(chroma) / 2 + 0.2).clamp(0, 1), space)
    metrics = evaluate(spoiled, split, Moments(), Evaluate(batch_size=8))
    truth = smooth_photos(20).permute(0, 2, 3, 1).double().numpy()
    predicted = rgb_of(space, spoiled.chroma.permute(0, 2, 3, 1).double().numpy(), truth)
    difference = np.clip(predicted, 0, 1) - truth
    assert metrics["rmse"] == pytest.approx(np.sqrt((difference**2).mean()), rel=1e-3)
    assert metrics["mae"] == pytest.approx(np.abs(difference).mean(), rel=2e-3)
    assert metrics["rmse"] > 0.05


def test_lab_planes_of_another_space_are_refused(split):
    with pytest.raises(ValueError, match="lab_planes of a predictor in hsv; allowed: of one in lab"):
        evaluate(Cheat(split, space="hsv"), split, Moments(), BOTH_SPACES)


class Six(torch.nn.Module):
    """Stands in for torchvision's Inception."""

    num_features = 6

    def forward(self, rgb: Tensor) -> Tensor:
        return 3 * Moments().embed(rgb)


def test_fid_torchvision_is_the_frechet_distance_of_its_features(split, pair, metrics):
    also = evaluate(Cheat(split, noisy), split, Moments(), BOTH_SPACES, inception=Six())
    want = frechet(*(Six()(photos).double().numpy() for photos in pair))
    assert also.pop("fid_torchvision") == pytest.approx(want, rel=1e-4)
    assert want > 0.05
    assert also == metrics


def test_class_accuracy_is_the_share_of_photos_with_a_class_that_are_named(split, metrics):
    """Twenty photos: eight of class 0, eight of class 1, four of none. Class 1 is said of all after the fifth."""
    labels = np.array([0] * 8 + [1] * 8 + [-1] * 4)
    labeled = LabSplit(split.codes, labels, split.names, ["a", "b"])
    said = iter([0] * 5 + [1] * 15)

    class Classifier(Cheat):
        def predict(self, lightness: Tensor) -> Prediction:
            return super().predict(lightness)._replace(class_logits=torch.eye(2)[[next(said) for _ in lightness]])

    classifier = Classifier(split, noisy)
    classifier.classes = ["a", "b"]
    also = evaluate(classifier, labeled, Moments(), BOTH_SPACES)
    assert also.pop("class_accuracy") == 13 / 16
    assert also == metrics


def test_the_true_photos_are_embedded_once_for_all_rows(split, metrics):
    class Counted(Moments):
        embedded = 0

        def embed(self, rgb: Tensor) -> Tensor:
            self.embedded += len(rgb)
            return super().embed(rgb)

        def distance(self, a: Tensor, b: Tensor) -> Tensor:
            return Moments().distance(a, b)

    network = Counted()
    reference = make_reference(split, network, BOTH_SPACES.spaces, CPU, Six())
    assert {name: len(embeddings) for name, embeddings in reference.embeddings.items()} == dict.fromkeys(
        ("rgb", "lab_planes", "torchvision"), len(split)
    )
    assert network.embedded == 2 * len(split)
    for rows in (1, 2):
        measured = evaluate_split(Cheat(split, noisy), split, reference, BOTH_SPACES)
        assert measured.pop("fid_torchvision") > 0
        assert measured == metrics
        assert network.embedded == (2 + 2 * rows) * len(split)


@pytest.mark.parametrize("batch_size", [1, 20, 32])
def test_batch_size_changes_no_figure(metrics, split, batch_size):
    config = BOTH_SPACES.model_copy(update={"batch_size": batch_size})
    again = evaluate(Cheat(split, noisy), split, Moments(), config)
    assert again == pytest.approx(metrics, rel=1e-6, abs=1e-6)


def test_the_same_in_gives_the_same_out(split, tmp_path):
    seen = []
    for seed in (1, 2):  # of the process: no value knows it
        torch.manual_seed(seed)
        grid = tmp_path / f"{seed}.png"
        seen.append((evaluate(Cheat(split, noisy), split, Moments(), BOTH_SPACES, grid=grid), grid.read_bytes()))
    assert seen[0] == seen[1]


def test_a_prediction_is_what_a_screen_can_show(split):
    """Chroma far out of the gamut is clipped, and every value is one of 256."""
    lightness, chroma = lab_to_net(decode(split.codes))
    photo = displayed_rgb(lightness, 3 * chroma)
    assert float(photo.min()) >= 0
    assert float(photo.max()) <= 1
    torch.testing.assert_close(photo * 255, (photo * 255).round(), atol=1e-4, rtol=0)


def test_the_truth_is_the_photo_itself(split):
    assert torch.equal(displayed_rgb(*lab_to_net(decode(split.codes))), smooth_photos(20))


def test_only_a_batch_is_decoded_at_a_time(split, monkeypatch):
    sizes = []

    def counted(codes: np.ndarray) -> Tensor:
        sizes.append(len(codes))
        return decode(codes)

    monkeypatch.setattr(evaluation_module, "decode", counted)
    evaluate(BASELINES["gray"](split), split, Moments(), Evaluate(batch_size=8))
    assert sizes == [8, 8, 4]


def test_it_runs_in_full_precision_without_gradients_and_puts_all_back(split):
    weight = torch.nn.Parameter(torch.tensor(0.5))
    inside = []

    def predict(lightness: Tensor) -> Prediction:
        inside.append(((weight * lightness).requires_grad, torch.backends.cudnn.allow_tf32))
        return BASELINES["gray"](split).predict(lightness)

    state, before = torch.get_rng_state(), torch.backends.cudnn.allow_tf32
    evaluate(Predictor(predict), split, Moments(), Evaluate())
    assert inside == [(False, False)]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.backends.cudnn.allow_tf32 == before


@pytest.mark.parametrize("photos", [0, 1])
def test_fewer_than_two_photos_are_refused(split, photos):
    few = LabSplit(split.codes[:photos], split.labels[:photos], split.names[:photos], [])
    with pytest.raises(ValueError, match=rf"{photos} photo\(s\) to evaluate on: FID and KID need at least 2"):
        evaluate(BASELINES["gray"](split), few, Moments(), Evaluate())


# baselines


def test_floors_are_gray_and_the_mean_color(split):
    lightness, chroma = lab_to_net(decode(split.codes))
    gray = BASELINES["gray"](split).predict(lightness).chroma
    assert gray.shape == chroma.shape
    assert not gray.any()
    red, green, blue = displayed_rgb(lightness, gray).unbind(dim=1)
    assert float((red - green).abs().max()) <= 1 / 255
    assert float((green - blue).abs().max()) <= 1 / 255

    mean = BASELINES["mean_ab"](split).predict(lightness).chroma
    want = chroma.double().mean(dim=(0, 2, 3))
    torch.testing.assert_close(mean, want.float()[None, :, None, None].expand_as(chroma))


def test_the_best_constant_is_the_mean(split):
    score = {name: evaluate(make(split), split, Moments(), BOTH_SPACES) for name, make in BASELINES.items()}
    assert score["mean_ab"]["rmse_lab_planes"] < score["gray"]["rmse_lab_planes"]
    assert score["gray"]["colorfulness"] < 1


def test_ssim_hardly_sees_color():
    """The trap: textured photos without any color score high on SSIM, while CIEDE2000 tells."""
    rng = torch.Generator().manual_seed(0)
    texture = torch.rand(8, 1, 32, 32, generator=rng)
    tint = torch.tensor([1.0, 0.72, 0.6]).view(1, 3, 1, 1)
    split = split_of(texture * tint)
    gray = evaluate(BASELINES["gray"](split), split, Moments(), Evaluate())
    assert gray["ssim"] > 0.9
    assert gray["ciede2000"] > 5


# grid


def test_grid_shows_gray_truth_prediction_of_best_median_worst(split, tmp_path):
    path = tmp_path / "new" / "grid.png"
    evaluate(Cheat(split, noisy), split, Moments(), Evaluate(samples=2), grid=path)
    picture = np.asarray(Image.open(path))
    side = 192  # 24 pixels, each 8 x 8
    assert picture.shape[1] == 100 + 3 * (side + 6)
    assert picture.shape[0] == 28 + 6 * (side + 6)

    lightness, chroma = lab_to_net(decode(split.codes))
    truth, predicted = displayed_rgb(lightness, chroma), displayed_rgb(lightness, noisy(chroma))
    difference = ciede2000(predicted, truth)
    for row, index in ((0, int(difference.argmin())), (5, int(difference.argmax()))):
        top = 28 + row * (side + 6) + 4
        tiles = [picture[top : top + side : 8, 104 + i * (side + 6) :][:, : side - 4 : 8] for i in range(3)]
        wanted = [displayed_rgb(lightness, 0 * chroma), truth, predicted]
        for tile, photos in zip(tiles, wanted, strict=True):
            # One level apart at most: in another batch, a value near the middle of two levels may round the other way.
            want = hwc(photos[index] * 255)[:, : tile.shape[1]]
            np.testing.assert_allclose(tile.astype(float), want, atol=1.01)


@pytest.mark.parametrize(("space", "plane"), [("rgb", "luma"), ("hsv", "value"), ("ycbcr", "luma")])
def test_the_gray_photo_of_the_grid_is_what_the_generator_saw(split, tmp_path, space, plane):
    evaluate(Cheat(split, space=space), split, Moments(), Evaluate(samples=1), grid=tmp_path / "grid.png")
    picture = np.asarray(Image.open(tmp_path / "grid.png"))
    gray, truth = (picture[28 + 4 : 28 + 192 : 8, left + 4 : left + 192 : 8].astype(float) for left in (100, 298))
    want = truth @ [0.299, 0.587, 0.114] if plane == "luma" else truth.max(axis=-1)
    np.testing.assert_allclose(gray, np.repeat(want[..., None], 3, axis=-1), atol=1)
    assert np.ptp(truth, axis=-1).max() > 20


def test_large_photos_are_scaled_down_in_the_grid(tmp_path):
    split = split_of(smooth_photos(2, size=260))
    evaluate(BASELINES["gray"](split), split, Moments(), Evaluate(samples=1), grid=tmp_path / "grid.png")
    assert Image.open(tmp_path / "grid.png").width == 100 + 3 * (256 + 6)


def test_each_photo_is_chosen_once():
    assert best_median_worst([3.0, 1.0, 2.0, 5.0, 4.0], 1) == [(1, "best 1.0"), (0, "median 3.0"), (3, "worst 5.0")]
    chosen = [index for index, _ in best_median_worst([3.0, 1.0, 2.0], 2)]
    assert sorted(chosen) == [0, 1, 2]
    assert len(best_median_worst(list(range(100)), 16)) == 48


def test_names_are_read_without_waiting_for_torch():
    code = (
        "import sys; from tintype.metrics.registry import metric_of; metric_of('kid'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_floors_are_those_that_tables_lead_with():
    assert tuple(BASELINES) == BASELINE_NAMES
