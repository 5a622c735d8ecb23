"""Training: train recipes, reproduce model versions."""
