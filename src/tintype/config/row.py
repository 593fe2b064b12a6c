"""What a row is: its networks, losses and training. Training reads nothing else."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from tintype.config.compatibility import conflicts
from tintype.config.validation import Section, validated
from tintype.errors import UserError


class Generator(Section):
    """The network from lightness to chroma."""

    architecture: Literal["unet", "double_conv_unet", "autoencoder", "resnet18_unet", "timm_unet"] = Field(
        "unet",
        description="unet: pix2pix's; autoencoder: double_conv_unet without skips; timm_unet: a light decoder on an "
        "encoder of timm",
    )
    encoder: str = Field(
        "tf_efficientnet_lite0",
        description="timm_unet: timm's name of a network with features at 1/4, 1/8, 1/16 and 1/32 of the photo's size",
    )
    chroma_gain: float = Field(
        1.0,
        gt=0,
        le=3,
        description="timm_unet, regression in lab: what predicted chroma is multiplied by after training. The mean "
        "of plausible colors is paler than each of them: over 1 is more vivid, at the cost of error",
    )
    encoder_norm: Literal["batch", "frozen"] = Field(
        "batch", description="timm_unet: frozen keeps the running means that the encoder's batch norm starts with"
    )
    space: Literal["lab", "rgb", "hsv", "ycbcr"] = Field(
        "lab", description="what it sees and predicts: L -> ab, luma -> RGB, value -> HS, luma -> CbCr"
    )
    head: Literal["regression", "classification"] = Field(
        "regression",
        description="classification (unet in lab; timm_unet): a distribution over bins of ab (arXiv:1603.08511)",
    )
    temperature: float = Field(
        0.38,
        gt=0,
        le=1,
        description="classification: 1 takes the distribution's mean, dull; towards 0 its mode, vivid and blotchy",
    )
    filters: int = Field(
        64,
        ge=2,
        le=512,
        description="of the first encoder block; later ones have up to 8 times as many; resnet18_unet has its own; "
        "timm_unet: of the last decoder block, the two before it have 2 and 4 times as many",
    )
    depth: int = Field(
        8, ge=1, le=10, description="how often the encoder halves the size; resnet18_unet and timm_unet: 5 times"
    )
    dropout: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="unet: of the decoder's first three blocks and the class head; double_conv_unet and autoencoder: "
        "of the encoder's first two; resnet18_unet and timm_unet have none",
    )
    attention: bool = Field(False, description="unet: a self-attention layer at an eighth of the size, in the decoder")
    spectral_norm: bool = Field(False, description="on every convolution and dense layer")
    weights: Literal["none", "imagenet", "everyday"] = Field(
        "none",
        description="imagenet: what the encoder of resnet18_unet or timm_unet starts from; everyday: the whole of a "
        "timm_unet starts from the released model's",
    )


class Discriminator(Section):
    """The network that judges (lightness, chroma)."""

    architecture: Literal["patch", "dense", "unet", "projected"] = Field(
        "patch",
        description="patch, dense, unet: a logit a patch, one a photo, or one a pixel; projected: judges the features "
        "of a frozen EfficientNet-Lite1, a logit for each of their places",
    )
    filters: int = Field(64, ge=2, le=512)
    layers: int = Field(3, ge=1, le=8, description="how often the size is halved; patch: 3 see patches of 70x70 pixels")
    norm: Literal["batch", "none"] = Field("batch", description="projected has none")
    spectral_norm: bool = Field(False, description="on every convolution and dense layer")


class Loss(Section):
    """L = the sum of the terms, each with its weight; a weight of 0 costs nothing."""

    adversarial: Literal["bce", "lsgan", "hinge", "wgan", "wgan_gp"] = "bce"
    adversarial_weight: float = Field(1.0, ge=0)
    l1_weight: float = Field(100.0, ge=0, description="mean absolute error in `space`")
    l2_weight: float = Field(0.0, ge=0, description="mean squared error in `space`")
    space: Literal["network", "rgb"] = Field(
        "network", description="of l1 and l2: the generator's own planes and units, or sRGB in [0, 1]"
    )
    perceptual_weight: float = Field(0.0, ge=0, description="needs features.perceptual")
    class_weight: float = Field(
        0.0, ge=0, description="over 0: the generator gets a class branch, the photos need classes"
    )
    bins_weight: float = Field(0.0, ge=0, description="cross-entropy of generator.head: classification")
    rebalancing: bool = Field(True, description="bins: rare colors weigh more (arXiv:1603.08511, section 2.2)")
    colorfulness_weight: float = Field(
        0.0, ge=0, description="1 - colorfulness / 100 of the prediction (DDColor, arXiv:2212.11613, equation 6)"
    )
    real_label: float = Field(0.9, gt=0.5, le=1, description="bce, lsgan: one-sided label smoothing")
    gradient_penalty_weight: float = Field(10.0, ge=0, description="wgan_gp only")
    weight_clip: float = Field(
        0.01, gt=0, description="wgan only: the discriminator's weights are kept in [-clip, clip]"
    )


class Phase(Section):
    """A stretch of training with one set of networks and one learning-rate schedule."""

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
        description="side of what the networks see in this phase, pixels, up to preprocess.image_size, the default",
    )
    lr: float = Field(2e-4, gt=0)
    schedule: Literal["constant", "cosine"] = "constant"
    lr_final: float = Field(2e-6, ge=0, description="cosine only: the rate at the phase's end")
    betas: tuple[float, float] = Field((0.5, 0.999), strict=False, description="Adam's")
    weight_decay: float = Field(0.0, ge=0, description="L2 on the convolutions' weights, in Adam's gradient")
    frozen_levels: int = Field(
        0,
        ge=0,
        le=5,
        description="timm_unet: so many levels of the encoder do not learn, from the photo's side; 5: all",
    )
    encoder_lr_factor: float = Field(1.0, gt=0, description="timm_unet: the encoder's learning rate is lr times this")
    loss: dict[str, Any] = Field(
        default_factory=dict, description="what the phase changes of the row's loss, such as {colorfulness_weight: 0.5}"
    )
    discriminator_steps: int = Field(
        1, ge=1, description="discriminator updates per generator update, each on a fresh batch"
    )


class Training(Section):
    """How a row is trained."""

    batch_size: int = Field(8, ge=2, description="photos a step, all processes together")
    seed: int = Field(1, ge=0)
    hflip_probability: float = Field(0.5, ge=0, le=1, description="probability of a horizontal flip")
    crop_scale: float = Field(
        1.0,
        gt=0,
        le=1,
        description="least share of the photo's area that a random crop keeps, with an aspect ratio between 3/4 and "
        "4/3; 1: no crops",
    )
    degradation_probability: float = Field(
        0.0,
        ge=0,
        le=1,
        description="probability that the network sees a photo as if it were old: blurred, flat or harsh, grainy, with "
        "borders, from a poor JPEG; what it must predict stays",
    )
    ema_decay: float = Field(
        0.999,
        ge=0,
        lt=1,
        description="decay of the averaged generator that is kept: over 1/(1-decay) updates, fewer at first; 0: none",
    )
    precision: Literal["auto", "32-true", "bf16-mixed"] = Field(
        "auto", description="auto: bf16-mixed on CUDA, else fp32"
    )
    compile: bool = Field(False, description="torch.compile the generator")
    processes: int = Field(1, ge=1, description="over 1: torchrun, one process a device")
    phases: tuple[Phase, ...] = Field(min_length=1, strict=False)


class Row(Section):
    """All that the training of one row reads: the base with the row's overrides applied."""

    name: str
    generator: Generator
    discriminator: Discriminator
    loss: Loss
    training: Training

    perceptual_sha256: str | None = Field(
        None, description="hash of the perceptual network's weights, where one is used"
    )
    released_sha256: str | None = Field(
        None, description="hash of the released model, where the generator starts from it"
    )

    def loss_in(self, phase: Phase) -> Loss:
        """The loss of a phase: the row's, with what the phase changes. Raises `UserError`."""
        return validated(Loss, {**self.loss.model_dump(), **phase.loss}, where="training.phases.loss")

    @property
    def losses(self) -> list[Loss]:
        """Those of all phases."""
        return [self.loss_in(phase) for phase in self.training.phases]

    @property
    def needs_perceptual(self) -> bool:
        """Whether a phase learns from a network's features."""
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
