"""The colorizer behind other people's doors: MLflow's scoring server."""
