"""Whether a model file is safe to load, and the process that loads it."""
