"""Search of runs: filters in MLflow's syntax, the order, and the runs that match, read in pages."""
