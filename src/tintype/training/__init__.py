"""Training: `fit` turns a row of params and a Lab cache into a generator."""

from tintype.training.loop import Speed, Stopped, Trained, fit
from tintype.training.progress import Record

__all__ = ["Record", "Speed", "Stopped", "Trained", "fit"]
