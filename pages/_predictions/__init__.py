"""Parts of the screen Predictions."""
