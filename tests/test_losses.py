"""Losses against torch's own functions and cases worked by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from tintype.color.bins import bin_centers
from tintype.color.lab import AB_MAX, rgb_to_lab, to_uint8
from tintype.color.spaces import SPACES
from tintype.config import Discriminator, Loss
from tintype.data.batches import Batch
from tintype.losses import (
    ADVERSARIAL,
    Criterion,
    clip_weights,
    discriminator_success,
    discriminator_terms,
    generator_terms,
    gradient_penalty,
    penalty_terms,
)
from tintype.models import Prediction, build_discriminator

BCE = Loss(l1_weight=0)
WGAN = Loss(adversarial="wgan_gp", l1_weight=0)


def terms_of(
    loss, chroma, truth, *, lightness=None, labels=None, fake_logits=None, space="lab", perceptual_network=None, **more
):
    """Of a prediction, and a batch with the truth."""
    lightness = torch.zeros_like(truth[:, :1]) if lightness is None else lightness
    bin_weights = more.pop("bin_weights", None)
    prediction = Prediction(chroma, **{"class_logits": None, "bin_logits": None, **more})
    criterion = Criterion(loss, SPACES[space], perceptual_network, bin_weights)
    return generator_terms(criterion, Batch(lightness, truth, labels, lightness), prediction, fake_logits)


def linear(w):
    """The discriminator <w, x>: its gradient is w wherever it is taken."""
    return lambda lightness, chroma: (chroma * w).sum(dim=(1, 2, 3)).reshape(-1, 1, 1, 1)


def test_bce_by_hand():
    # sigmoid(0) = 1/2; sigmoid(log 3) = 3/4
    terms = discriminator_terms(BCE, torch.tensor([[[[math.log(3)]]]]), torch.tensor([[[[0.0]]]]))
    assert list(terms) == ["discriminator_real", "discriminator_fake"]
    assert terms["discriminator_real"].item() == pytest.approx(-(0.9 * math.log(3 / 4) + 0.1 * math.log(1 / 4)))
    assert terms["discriminator_fake"].item() == pytest.approx(math.log(2))
    # the generator's target is 1, not 0.9
    chroma = torch.zeros(1, 2, 1, 1)
    terms = terms_of(BCE, chroma, chroma, fake_logits=torch.tensor([[[[math.log(3)]]]]))
    assert list(terms) == ["adversarial"]
    assert terms["adversarial"].item() == pytest.approx(-math.log(3 / 4))


def test_bce_as_torch_has_it():
    torch.manual_seed(1)
    real, fake = torch.randn(2, 4, 1, 6, 6)
    terms = discriminator_terms(Loss(real_label=0.8), real, fake)
    probability = torch.sigmoid(real.double())
    want = -(0.8 * probability.log() + 0.2 * (1 - probability).log()).mean()
    assert terms["discriminator_real"].item() == pytest.approx(want.item(), rel=1e-6)
    want = F.binary_cross_entropy(torch.sigmoid(fake.double()), torch.zeros_like(fake).double())
    assert terms["discriminator_fake"].item() == pytest.approx(want.item(), rel=1e-6)


def test_wasserstein_by_hand():
    real, fake = torch.tensor([1.0, 3.0]).reshape(2, 1, 1, 1), torch.tensor([-1.0, 2.0]).reshape(2, 1, 1, 1)
    terms = discriminator_terms(WGAN, real, fake)
    assert {name: term.item() for name, term in terms.items()} == {
        "discriminator_real": -2.0,
        "discriminator_fake": 0.5,
    }
    chroma = torch.zeros(2, 2, 1, 1)
    loss = WGAN.model_copy(update={"adversarial_weight": 0.1})
    assert terms_of(loss, chroma, chroma, fake_logits=fake)["adversarial"].item() == pytest.approx(-0.05)


def test_least_squares_and_hinge_by_hand():
    real, fake = torch.tensor([0.4, 2.0]).reshape(2, 1, 1, 1), torch.tensor([-0.5, 0.5]).reshape(2, 1, 1, 1)
    zeros, only = torch.zeros(2, 2, 1, 1), {"l1_weight": 0.0}
    want = {
        "lsgan": ((0.25 + 1.21) / 4, (0.25 + 0.25) / 4, (2.25 + 0.25) / 4),
        "hinge": ((0.6 + 0) / 2, (0.5 + 1.5) / 2, 0.0),
    }
    for name, metrics in want.items():
        loss = Loss(adversarial=name, **only)
        terms = discriminator_terms(loss, real, fake) | terms_of(loss, zeros, zeros, fake_logits=fake)
        assert [term.item() for term in terms.values()] == pytest.approx(metrics)


def test_success_is_the_share_on_the_right_side():
    real, fake = torch.tensor([0.4, 2.0, -1.0, 3.0]), torch.tensor([-0.5, 0.6, 0.4, -2.0])
    success = {name: discriminator_success(Loss(adversarial=name), real, fake) for name in ADVERSARIAL}
    for name in ("bce", "hinge"):
        assert [float(share) for share in success[name].values()] == [0.75, 0.5]
    assert [float(share) for share in success["lsgan"].values()] == [0.5, 0.75]
    assert success["wgan"] == success["wgan_gp"] == {}


def test_only_wgan_clips():
    for name in ADVERSARIAL:
        discriminator = torch.nn.Linear(50, 50)
        torch.nn.init.normal_(discriminator.weight)
        clip_weights(Loss(adversarial=name, weight_clip=0.5), discriminator)
        assert (discriminator.weight.abs().max().item() == 0.5) == (name == "wgan")


@pytest.mark.parametrize("norm", [0.25, 1.0, 3.0])
def test_gradient_penalty_of_a_linear_discriminator(norm):
    torch.manual_seed(1)
    w = torch.randn(2, 4, 4, dtype=torch.float64)
    w = (norm * w / w.norm()).requires_grad_()
    lightness, real, fake = torch.zeros(3, 1, 4, 4), *torch.randn(2, 3, 2, 4, 4, dtype=torch.float64)
    penalty = gradient_penalty(linear(w), lightness, real, fake)
    assert penalty.item() == pytest.approx((norm - 1) ** 2, abs=1e-12)
    penalty.backward()
    torch.testing.assert_close(w.grad, 2 * (norm - 1) * w.detach() / norm)  # d(||w|| - 1)^2 / dw


def test_gradient_penalty_is_per_photo_and_between_real_and_fake():
    seen = []

    def quadratic(lightness, chroma):  # gradient x, a photo's own
        seen.append(chroma.detach())
        return chroma.square().sum(dim=(1, 2, 3)).reshape(-1, 1, 1, 1) / 2

    real, fake = torch.zeros(64, 2, 1, 1), torch.full((64, 2, 1, 1), 2.0)
    penalty = gradient_penalty(quadratic, torch.zeros(64, 1, 1, 1), real, fake)
    share = seen[0][:, 0, 0, 0] / 2
    assert len(set(share.tolist())) == 64  # a point of its own for each photo
    assert 0 <= share.min() < 0.2 < 0.8 < share.max() <= 1
    want = (math.sqrt(2) * seen[0][:, 0, 0, 0] - 1).square().mean()
    assert penalty.item() == pytest.approx(want.item(), rel=1e-5)


def test_gradient_penalty_sums_over_patches_and_leaves_lightness_out():
    def discriminator(lightness, chroma):  # two patches, each with the gradient 1 by the one chroma value
        return torch.cat([chroma[:, :1], chroma[:, :1]], dim=3) + 100 * lightness

    zeros = torch.zeros(2, 2, 1, 1)
    assert gradient_penalty(discriminator, torch.zeros(2, 1, 1, 2), zeros, zeros).item() == pytest.approx((2 - 1) ** 2)


def test_gradient_penalty_changes_the_discriminators_gradients():
    torch.manual_seed(1)
    discriminator = build_discriminator(Discriminator(filters=4, norm="none"), "lab", 32)
    lightness, real, fake = torch.rand(2, 1, 32, 32), *torch.rand(2, 2, 2, 32, 32)

    def gradients(loss):
        discriminator.zero_grad()
        terms = discriminator_terms(loss, discriminator(lightness, real), discriminator(lightness, fake))
        terms |= penalty_terms(loss, discriminator, lightness, real, fake)
        torch.stack(list(terms.values())).sum().backward()
        return {name: p.grad.clone() for name, p in discriminator.named_parameters()}, terms

    without, terms = gradients(WGAN.model_copy(update={"gradient_penalty_weight": 0.0}))
    assert "gradient_penalty" not in terms
    with_penalty, terms = gradients(WGAN)
    assert terms["gradient_penalty"].requires_grad
    weights = [name for name in without if name.endswith("weight")]  # a bias does not change the gradient by the input
    assert all((with_penalty[name] - without[name]).abs().max() > 1e-4 for name in weights)


def test_the_penalty_gives_the_generator_nothing():
    fake = torch.rand(2, 2, 4, 4, requires_grad=True)
    w = torch.rand(2, 4, 4, requires_grad=True)
    gradient_penalty(linear(w), torch.zeros(2, 1, 4, 4), torch.zeros(2, 2, 4, 4), fake).backward()
    assert fake.grad is None


def test_bce_has_no_penalty():
    assert penalty_terms(BCE, linear(torch.ones(2, 4, 4)), *torch.zeros(3, 2, 2, 4, 4)) == {}
    assert {name for name, side in ADVERSARIAL.items() if side.penalized} == {"wgan_gp"}


def test_reconstruction_by_hand():
    chroma, truth = torch.tensor([0.5, -0.5]).reshape(1, 2, 1, 1), torch.tensor([0.0, 0.5]).reshape(1, 2, 1, 1)
    terms = terms_of(Loss(l1_weight=100.0, l2_weight=2.0), chroma, truth)
    assert {name: term.item() for name, term in terms.items()} == {"l1": pytest.approx(75.0), "l2": pytest.approx(1.25)}


@pytest.mark.parametrize("space", sorted(SPACES))
def test_reconstruction_in_rgb_is_of_the_colors_that_both_chromas_make(space):
    torch.manual_seed(2)
    truth, guess = to_uint8(torch.rand(2, 2, 3, 8, 8)) / 255
    lightness, true_chroma = SPACES[space].split(rgb_to_lab(truth))
    chroma = SPACES[space].split(rgb_to_lab(guess))[1]
    loss = Loss(l1_weight=3.0, l2_weight=0.0, space="rgb")
    term = terms_of(loss, chroma, true_chroma, lightness=lightness, space=space)["l1"]
    mixed = SPACES[space].to_rgb(lightness, chroma)
    assert term.item() == pytest.approx(3 * (mixed - truth).abs().mean().item(), rel=1e-4)


def test_the_perceptual_term_is_the_perceptual_networks_loss_of_rgb():
    class Fixed:
        def perceptual_loss(self, predicted, truth):
            assert predicted.shape[1] == truth.shape[1] == 3
            return (predicted - truth).abs().sum()

    black, blue = torch.zeros(1, 3, 1, 1), torch.tensor([0.0, 0.0, 1.0]).reshape(1, 3, 1, 1)
    loss = Loss(l1_weight=0.0, perceptual_weight=5.0)
    assert terms_of(loss, blue, black, space="rgb", perceptual_network=Fixed())["perceptual"].item() == 5


def test_bins_term_by_hand():
    # Exactly on a bin's center, the photo's code is spread over the 5 nearest as exp(-distance^2 / 50).
    centers = bin_centers()
    here = int((centers == torch.tensor([10.0, 20.0])).all(dim=1).nonzero())
    nearest = (centers - centers[here]).norm(dim=1)
    code = torch.exp(-(nearest**2) / 50) * (nearest <= 10)
    code /= code.sum()
    assert (code > 0).sum() == 5
    truth = (centers[here] / AB_MAX).reshape(1, 2, 1, 1).expand(1, 2, 4, 4)
    torch.manual_seed(1)
    logits, weights = torch.randn(1, len(centers), 1, 1), torch.rand(len(centers))
    loss = Loss(l1_weight=0.0, bins_weight=2.0)
    term = terms_of(loss, truth, truth, bin_logits=logits, bin_weights=weights)["bins"]
    want = -2 * weights[here] * (code * logits[0, :, 0, 0].log_softmax(dim=0)).sum()
    assert term.item() == pytest.approx(want.item(), rel=1e-4)


def test_class_term_leaves_out_photos_without_a_label():
    torch.manual_seed(1)
    loss, chroma = Loss(l1_weight=0, class_weight=0.003), torch.zeros(3, 2, 1, 1)
    logits = torch.randn(3, 4, requires_grad=True)
    term = terms_of(loss, chroma, chroma, class_logits=logits, labels=torch.tensor([2, -1, 0]))["class"]
    log_p = logits.detach().log_softmax(dim=1)
    assert term.item() == pytest.approx(0.003 * -(log_p[0, 2] + log_p[2, 0]).item() / 2, rel=1e-6)
    term = terms_of(loss, chroma, chroma, class_logits=logits, labels=torch.full((3,), -1))["class"]
    assert term.item() == 0
    term.backward()
    assert not logits.grad.any()


def test_a_weight_of_0_leaves_the_term_out():
    chroma = torch.zeros(2, 2, 1, 1)
    loss = Loss(adversarial_weight=0, l1_weight=0, l2_weight=0, class_weight=0)
    more = {"class_logits": torch.zeros(2, 3), "labels": torch.zeros(2, dtype=torch.long)}
    assert terms_of(loss, chroma, chroma, fake_logits=torch.zeros(2, 1, 1, 1), **more) == {}


@pytest.mark.parametrize("adversarial", sorted(ADVERSARIAL))
def test_terms_are_float32_after_autocast(adversarial):
    loss = Loss(adversarial=adversarial, l2_weight=1, class_weight=1)
    half = torch.ones(2, 2, 1, 1, dtype=torch.bfloat16)
    labels = torch.zeros(2, dtype=torch.long)
    terms = terms_of(loss, half, half.float(), class_logits=half[:, :, 0, 0], labels=labels, fake_logits=half)
    terms |= discriminator_terms(loss, half, half)
    terms |= penalty_terms(loss, linear(torch.ones(2, 1, 1)), half[:, :1].float(), half.float(), half)
    assert {term.dtype for term in terms.values()} == {torch.float32}
