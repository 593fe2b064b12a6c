"""MLflow: the runs of trained rows, the registered models, and the lookup of names in its store."""
