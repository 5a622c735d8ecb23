"""Taking over a registry that was there before ModelLedger."""
