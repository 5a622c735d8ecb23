"""The embedded Delta engine, on deltalake."""
