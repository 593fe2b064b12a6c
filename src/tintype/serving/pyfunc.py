"""The registered model as MLflow loads it (models from code, without pickle).

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
    """Colorizes photo files. Each result has the size of its photo."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the registered weights."""
        self.colorizer = Colorizer.load(context.artifacts["generator"])

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[bytes]:
        """Colorize photos.

        Args:
            context: MLflow's context, with the weights.
            model_input: has the column ``photo`` with the bytes of image files, gray or color.
            params: ``saturation`` and ``keep_color`` of `Colorizer`, and ``format``, a key of
                `tintype.images.formats.WRITABLE` or ``same``.
        Returns:
            The bytes of an image file for each photo, of the photo's size. (In JSON, bytes are base64, both ways.)
        Raises:
            MlflowException: a photo cannot be read or written, or a param is invalid. The server then answers with
                status 400.
        """
        options = dict(params or {})
        wanted = options.pop("format", "same")
        try:
            colorizer = Colorizer(self.colorizer.backend, **options)
        except UserError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None
        if wanted != SAME and wanted not in WRITABLE:
            raise MlflowException.invalid_parameter_value(f"format {wanted!r}: allowed: {', '.join((SAME, *WRITABLE))}")
        # One by one, because photos are large. The network could take several, but is the smallest part of the work.
        return [_colorized(colorizer, number, photo, wanted) for number, photo in enumerate(model_input["photo"])]


def _colorized(colorizer: Colorizer, number: int, content: bytes, wanted: str) -> bytes:
    prepared = _prepared(colorizer, number, content)
    photo = colorizer.finish(prepared, colorizer.predict([prepared])[0])
    try:
        return encode_photo(photo, wanted)
    except ValueError as error:
        raise MlflowException.invalid_parameter_value(f"photo {number}: {error}") from None


def _prepared(colorizer: Colorizer, number: int, content: bytes) -> Prepared:
    # MLflow accepts text in place of bytes. The colorizer would take it for the path of a file on this machine.
    if not isinstance(content, bytes):
        raise MlflowException.invalid_parameter_value(f"photo {number}: allowed: the bytes of an image file")
    try:
        return colorizer.prepare(content)
    except UnreadablePhoto as error:
        hint = "; in JSON, base64 in dataframe_records or dataframe_split" if error.reason == NOT_AN_IMAGE else ""
        raise MlflowException.invalid_parameter_value(f"photo {number}: {error.reason}{hint}") from None


set_model(RegisteredColorizer())
