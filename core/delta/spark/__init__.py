"""The Delta engine on Spark."""
