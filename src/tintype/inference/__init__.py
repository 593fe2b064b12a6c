"""Trained generators in use: the model that comes with the package, and what an exported one carries."""
