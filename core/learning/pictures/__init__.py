"""Pictures: the numbers behind a model's curves, matrices and distributions on its test rows."""
