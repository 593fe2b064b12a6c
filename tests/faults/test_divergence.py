"""A training that learns nothing, or whose numbers are no longer finite, does not pass for a success."""

import numpy as np
import pytest
import torch
from test_interruption import Cache, row

from tintype.config import Loss, Phase, Training
from tintype.config.validation import validated
from tintype.errors import UserError
from tintype.training import fit, loop

GAN = Phase(train="adversarial", epochs=2, lr=1e-3)


@pytest.mark.parametrize("weight", ["l1_weight", "l2_weight", "class_weight", "adversarial_weight", "bins_weight"])
@pytest.mark.parametrize("value", [1e30, float("inf"), float("nan")])
def test_weights_beyond_sense_are_refused(weight, value):
    with pytest.raises(UserError, match=rf"^{weight} = (1e\+30|inf|nan): "):
        validated(Loss, {weight: value})


def test_an_infinite_rate_is_refused():
    with pytest.raises(UserError, match=r"^phases\.0\.lr = inf: "):
        validated(Training, {"phases": [{"train": "generator", "epochs": 1, "lr": float("inf")}]})


def test_an_overflow_of_adams_second_moment_stops_the_training(tmp_path):
    """Its loss and its weights stay finite, as nothing moves any more. (1e30 squared is beyond float32.)"""
    params = Loss().model_dump() | {"l1_weight": 1e30}
    huge = row(Phase(train="generator", epochs=2, lr=1e-3)).model_copy(update={"loss": Loss.model_construct(**params)})
    with pytest.raises(
        FloatingPointError,
        match=r"epoch 1 .*: a moment of the generator's optimizer is not finite; there is no checkpoint",
    ):
        fit_unchecked(huge, tmp_path / "row.pt")


def fit_unchecked(huge, checkpoint):
    """Train with a loss that the config refuses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(huge), "loss_in", lambda self, phase: self.loss)
        return fit(huge, Cache(), checkpoint=checkpoint, device="cpu", checkpoint_every_s=0)


def test_the_step_that_diverges_is_named_with_its_terms_and_the_checkpoint(tmp_path, monkeypatch):
    """18 photos in batches of 4 are 4 steps an epoch: the seventh step is the third of epoch 2."""
    steps, real = [], loop.train_step

    def step_with_nan(*args, **options):
        terms = real(*args, **options)
        steps.append(1)
        return terms | ({"l1": torch.tensor(np.nan)} if len(steps) == 7 else {})

    monkeypatch.setattr(loop, "train_step", step_with_nan)
    checkpoint = tmp_path / "row.pt"
    with pytest.raises(
        FloatingPointError,
        match=r"step 3 of epoch 2 \(phase adversarial, lr 0.001\): l1 is nan; the last good checkpoint is "
        rf"{checkpoint}, after epoch 1; a lower lr",
    ):
        fit(row(GAN), Cache(), checkpoint=checkpoint, device="cpu", checkpoint_every_s=0)
    assert len(steps) == 7
    monkeypatch.setattr(loop, "train_step", real)
    whole = fit(row(GAN), Cache(), checkpoint=tmp_path / "whole.pt", device="cpu")
    assert fit(row(GAN), Cache(), checkpoint=checkpoint, device="cpu").curves == whole.curves
