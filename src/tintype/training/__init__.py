"""Training: `fit` turns a row of params and a Lab cache into a generator."""

from tintype.training.loop import Record, Speed, Trained, fit

__all__ = ["Record", "Speed", "Trained", "fit"]
