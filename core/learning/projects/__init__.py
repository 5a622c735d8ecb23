"""MLflow Projects as recipes."""
