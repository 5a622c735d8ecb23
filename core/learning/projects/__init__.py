"""MLflow Projects as recipes: read the declaration, check the backend, run the project."""
