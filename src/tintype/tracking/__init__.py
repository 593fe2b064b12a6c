"""MLflow: the runs of trained rows, the registered models, and what a name in its store means."""
