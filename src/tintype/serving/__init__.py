"""Serving of the colorizer: the web application with its HTTP API, and the model for MLflow's scoring server."""
