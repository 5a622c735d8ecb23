"""What differs between the registry and the decisions."""
