"""The verbs of ModelLedger, one folder per capability."""
