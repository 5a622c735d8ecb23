"""A person's SQL over registered tables at any version."""
