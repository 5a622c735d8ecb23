"""What serves the app to browsers."""
