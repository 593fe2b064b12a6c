"""A row: its networks, losses and training. Training reads nothing else."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from tintype.config.compatibility import conflicts
from tintype.config.validation import Section, validated
from tintype.errors import UserError

MAX_WEIGHT = 1e6
"""Upper limit of the weights of loss terms. Adam squares gradients, and a square over 3e38 is beyond float32."""


class Generator(Section):
    """The network that predicts chroma from lightness."""

    architecture: Literal["unet", "double_conv_unet", "autoencoder", "resnet18_unet", "timm_unet"] = Field(
        "unet",
        description="unet: pix2pix's U-Net; autoencoder: double_conv_unet without skips; timm_unet: a light decoder "
        "on an encoder from timm",
    )
    encoder: str = Field(
        "tf_efficientnet_lite0",
        description="timm_unet: timm's name of a network with features at 1/4, 1/8, 1/16 and 1/32 of the photo's size",
    )
    chroma_gain: float = Field(
        1.0,
        gt=0,
        le=3,
        description="timm_unet, regression in lab: factor on predicted chroma after training. The mean of plausible "
        "colors is paler than each of them; a factor over 1 gives more vivid colors at the cost of a higher error",
    )
    encoder_norm: Literal["batch", "frozen"] = Field(
        "batch", description="timm_unet: frozen keeps the initial running means of the encoder's batch norm"
    )
    space: Literal["lab", "rgb", "hsv", "ycbcr"] = Field(
        "lab", description="what the generator sees and predicts: L -> ab, luma -> RGB, value -> HS, luma -> CbCr"
    )
    head: Literal["regression", "classification"] = Field(
        "regression",
        description="classification (unet in lab; timm_unet): predict a distribution over ab bins (arXiv:1603.08511)",
    )
    temperature: float = Field(
        0.38,
        gt=0,
        le=1,
        description="classification: 1 gives the distribution's mean, which is dull; values towards 0 give its mode, "
        "which is vivid and blotchy",
    )
    filters: int = Field(
        64,
        ge=2,
        le=512,
        description="filters of the first encoder block; later blocks have up to 8 times as many; resnet18_unet "
        "ignores it; timm_unet: filters of the last decoder block, the two before it have 2 and 4 times as many",
    )
    depth: int = Field(
        8, ge=1, le=10, description="how often the encoder halves the size; resnet18_unet and timm_unet: always 5"
    )
    dropout: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="unet: in the decoder's first three blocks and the class head; double_conv_unet and autoencoder: "
        "in the encoder's first two blocks; resnet18_unet and timm_unet have none",
    )
    attention: bool = Field(False, description="unet: self-attention in the decoder, at an eighth of the size")
    spectral_norm: bool = Field(False, description="on every convolution and dense layer")
    weights: Literal["none", "imagenet", "everyday"] = Field(
        "none",
        description="initial weights; imagenet: of the encoder of resnet18_unet or timm_unet; everyday: of a whole "
        "timm_unet, from the released model",
    )


class Discriminator(Section):
    """The network that judges lightness and chroma."""

    architecture: Literal["patch", "dense", "unet", "projected"] = Field(
        "patch",
        description="patch, dense, unet: one logit per patch, per photo, or per pixel; projected: judges the features "
        "of a frozen EfficientNet-Lite1, one logit per position",
    )
    filters: int = Field(64, ge=2, le=512)
    layers: int = Field(3, ge=1, le=8, description="how often the size is halved; patch: 3 see patches of 70x70 pixels")
    norm: Literal["batch", "none"] = Field("batch", description="projected has no norm")
    spectral_norm: bool = Field(False, description="on every convolution and dense layer")


class Loss(Section):
    """The loss is the sum of the terms, each with its weight. A weight of 0 costs nothing."""

    adversarial: Literal["bce", "lsgan", "hinge", "wgan", "wgan_gp"] = "bce"
    adversarial_weight: float = Field(1.0, ge=0, le=MAX_WEIGHT)
    l1_weight: float = Field(100.0, ge=0, le=MAX_WEIGHT, description="mean absolute error in `space`")
    l2_weight: float = Field(0.0, ge=0, le=MAX_WEIGHT, description="mean squared error in `space`")
    space: Literal["network", "rgb"] = Field(
        "network", description="for l1 and l2: the generator's own planes and units, or sRGB in [0, 1]"
    )
    perceptual_weight: float = Field(0.0, ge=0, le=MAX_WEIGHT, description="needs features.perceptual")
    class_weight: float = Field(
        0.0, ge=0, le=MAX_WEIGHT, description="over 0: the generator gets a class branch, and the photos need classes"
    )
    bins_weight: float = Field(
        0.0, ge=0, le=MAX_WEIGHT, description="cross-entropy, for generator.head: classification"
    )
    rebalancing: bool = Field(True, description="bins: give rare colors more weight (arXiv:1603.08511, section 2.2)")
    colorfulness_weight: float = Field(
        0.0,
        ge=0,
        le=MAX_WEIGHT,
        description="1 - colorfulness / 100 of the prediction (DDColor, arXiv:2212.11613, equation 6)",
    )
    real_label: float = Field(0.9, gt=0.5, le=1, description="bce, lsgan: one-sided label smoothing")
    gradient_penalty_weight: float = Field(10.0, ge=0, le=MAX_WEIGHT, description="wgan_gp only")
    weight_clip: float = Field(
        0.01, gt=0, description="wgan only: the discriminator's weights are clipped to [-clip, clip]"
    )


class Phase(Section):
    """One phase of training, with one set of networks that learn and one learning-rate schedule."""

    train: Literal["generator", "discriminator", "adversarial"]

    @field_validator("train", mode="before")
    @classmethod
    def _critic(cls, value: Any) -> Any:
        if value == "critic":
            raise ValueError("is now 'discriminator'")
        return value

    epochs: int = Field(ge=1)
    image_size: int | None = Field(
        None,
        ge=16,
        description="side of the photos in this phase, pixels; at most preprocess.image_size, which is the default",
    )
    lr: float = Field(2e-4, gt=0)
    schedule: Literal["constant", "cosine"] = "constant"
    lr_final: float = Field(2e-6, ge=0, description="cosine only: the learning rate at the phase's end")
    betas: tuple[float, float] = Field((0.5, 0.999), strict=False, description="of Adam")
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty on convolution weights, in Adam's gradient")
    frozen_levels: int = Field(
        0,
        ge=0,
        le=5,
        description="timm_unet: number of frozen encoder levels, counted from the input; 5 freezes all",
    )
    encoder_lr_factor: float = Field(1.0, gt=0, description="timm_unet: the encoder's learning rate is lr times this")
    loss: dict[str, Any] = Field(
        default_factory=dict, description="what the phase changes in the row's loss, such as {colorfulness_weight: 0.5}"
    )
    discriminator_steps: int = Field(
        1, ge=1, description="discriminator updates per generator update, each on a fresh batch"
    )


class Training(Section):
    """How a row is trained."""

    batch_size: int = Field(8, ge=2, description="photos per step, over all processes together")
    seed: int = Field(1, ge=0)
    hflip_probability: float = Field(0.5, ge=0, le=1, description="probability of a horizontal flip")
    crop_scale: float = Field(
        1.0,
        gt=0,
        le=1,
        description="smallest share of the photo's area that a random crop keeps; its aspect ratio is between 3/4 and "
        "4/3; 1: no crops",
    )
    degradation_probability: float = Field(
        0.0,
        ge=0,
        le=1,
        description="probability that the generator sees a photo degraded like an old one: blurred, flat or harsh, "
        "grainy, with borders, from a poor JPEG; its target does not change",
    )
    ema_decay: float = Field(
        0.999,
        ge=0,
        lt=1,
        description="decay of the averaged generator (EMA), which is the one kept; it averages over 1/(1-decay) "
        "updates, fewer at first; 0: none",
    )
    precision: Literal["auto", "32-true", "bf16-mixed"] = Field(
        "auto", description="auto: bf16-mixed on CUDA GPUs with native bfloat16, else 32-true"
    )
    compile: bool = Field(False, description="torch.compile the generator")
    processes: int = Field(1, ge=1, description="over 1: torchrun, one process per device")
    phases: tuple[Phase, ...] = Field(min_length=1, strict=False)


class Row(Section):
    """Everything that the training of one row reads: the base sections with the row's overrides."""

    name: str
    generator: Generator
    discriminator: Discriminator
    loss: Loss
    training: Training

    perceptual_sha256: str | None = Field(None, description="hash of the perceptual network's weights, if one is used")
    released_sha256: str | None = Field(None, description="hash of the released model, if the generator starts from it")

    def loss_in(self, phase: Phase) -> Loss:
        """Return the loss of a phase: the row's, with the phase's overrides. Raises `UserError`."""
        return validated(Loss, {**self.loss.model_dump(), **phase.loss}, where="training.phases.loss")

    @property
    def losses(self) -> list[Loss]:
        """The losses of all phases."""
        return [self.loss_in(phase) for phase in self.training.phases]

    @property
    def needs_perceptual(self) -> bool:
        """Whether any phase uses the perceptual loss."""
        return any(loss.perceptual_weight for loss in self.losses)

    @model_validator(mode="after")
    def _refuse_conflicts(self) -> Row:
        for phase in self.training.phases:
            if "class_weight" in phase.loss:
                raise ValueError(
                    f"training.phases.loss.class_weight = {phase.loss['class_weight']!r}: the class branch is there in "
                    "all phases or in none; allowed: loss.class_weight"
                )
            try:
                loss = self.loss_in(phase)
            except UserError as error:
                raise ValueError(str(error)) from None
            for conflict in conflicts(self.generator, self.discriminator, loss, self.training, phase):
                raise ValueError(conflict)
        return self
