"""Head to head: two model versions score the same pinned rows."""
