"""KPI change: why a KPI moved between two model versions."""
