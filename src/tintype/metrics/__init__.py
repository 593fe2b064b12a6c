"""The metrics: their names in `registry`, their measuring in `evaluation`."""
