"""The model card inside a model's file (Mitchell et al. 2019, arXiv:1810.03993)."""

from __future__ import annotations

from pydantic import Field

from tintype.config import Section


class ModelCard(Section):
    """A short model card for people who have only the file."""

    name: str
    version: str
    description: str = Field(description="what it is, one or two sentences")
    data: str = Field(description="what it was trained on, and on which terms those photos are to be had")
    license: str = Field(description="on which terms it may be used")
    limitations: str = Field(description="where it fails")
    metrics: dict[str, float] = Field(description="on its test photos, by a name of tintype.metrics")
    weights_sha256: str = Field(description="of the generator.safetensors that it was exported from")
