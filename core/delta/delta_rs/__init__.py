"""The embedded Delta engine, based on deltalake."""
