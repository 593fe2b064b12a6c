"""The registered model, as MLflow loads it (models from code: no pickle).

https://mlflow.org/docs/latest/ml/model/models-from-code/
"""

from __future__ import annotations

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from tintype.colorize import Colorizer


class RegisteredColorizer(PythonModel):
    """(N, H, W, 1 or 3) uint8 photos in, (N, H, W, 3) uint8 sRGB out."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the weights that were registered."""
        self.colorizer = Colorizer.load(context.artifacts["generator"])

    def predict(self, context: PythonModelContext, model_input: np.ndarray, params: dict | None = None) -> np.ndarray:
        """Colorize a batch of photos of one size."""
        return np.stack([self.colorizer(photo) for photo in np.asarray(model_input)])


set_model(RegisteredColorizer())
