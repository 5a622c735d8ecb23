"""From data to predictions and back."""
