"""tintype: from photographs to a registered colorizer, every number reproducible."""
