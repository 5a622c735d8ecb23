"""MLflow Projects as recipes: read the declaration, run the project."""
