"""The commands of the command line, one module per subject. Each module has add_to(app)."""
