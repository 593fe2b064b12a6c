"""Photos in: sources, curation, the Lab cache, training batches."""
