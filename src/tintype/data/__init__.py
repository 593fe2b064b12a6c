"""Photos: sources, curation, the Lab cache and training batches."""
