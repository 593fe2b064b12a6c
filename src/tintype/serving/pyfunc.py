"""The registered model, as MLflow loads it (models from code: no pickle).

https://mlflow.org/docs/latest/ml/model/models-from-code/
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from tintype.errors import UserError
from tintype.images.encoding import encode_photo
from tintype.images.formats import SAME, WRITABLE
from tintype.images.opening import NOT_AN_IMAGE, UnreadablePhoto
from tintype.inference.colorizer import Colorizer, Prepared


class RegisteredColorizer(PythonModel):
    """Photo files in, photo files out, each of its own size."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the weights that were registered."""
        self.colorizer = Colorizer.load(context.artifacts["generator"])

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[bytes]:
        """Colorize photos.

        Args:
            context: MLflow's, with the weights.
            model_input: the column ``photo``: the bytes of image files, gray or color.
            params: ``saturation`` and ``keep_color`` of `Colorizer`; ``format``, a key of
                `tintype.images.formats.WRITABLE` or ``same``.
        Returns:
            The bytes of an image file for each, of its photo's size. (In JSON, bytes are base64, both ways.)
        Raises:
            MlflowException: a photo cannot be read or written, or a param is wrong. The server answers with status 400.
        """
        options = dict(params or {})
        wanted = options.pop("format", "same")
        try:
            colorizer = Colorizer(self.colorizer.backend, **options)
        except UserError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None
        if wanted != SAME and wanted not in WRITABLE:
            raise MlflowException.invalid_parameter_value(f"format {wanted!r}: allowed: {', '.join((SAME, *WRITABLE))}")
        # One by one, as photos are large: the network, which could take several, is the least of the work.
        return [_colorized(colorizer, number, photo, wanted) for number, photo in enumerate(model_input["photo"])]


def _colorized(colorizer: Colorizer, number: int, content: bytes, wanted: str) -> bytes:
    prepared = _prepared(colorizer, number, content)
    photo = colorizer.finish(prepared, colorizer.predict([prepared])[0])
    try:
        return encode_photo(photo, wanted)
    except ValueError as error:
        raise MlflowException.invalid_parameter_value(f"photo {number}: {error}") from None


def _prepared(colorizer: Colorizer, number: int, content: bytes) -> Prepared:
    # MLflow lets text through as bytes; to the colorizer it would be the path of a file on this machine.
    if not isinstance(content, bytes):
        raise MlflowException.invalid_parameter_value(f"photo {number}: allowed: the bytes of an image file")
    try:
        return colorizer.prepare(content)
    except UnreadablePhoto as error:
        hint = "; in JSON, base64 in dataframe_records or dataframe_split" if error.reason == NOT_AN_IMAGE else ""
        raise MlflowException.invalid_parameter_value(f"photo {number}: {error.reason}{hint}") from None


set_model(RegisteredColorizer())
