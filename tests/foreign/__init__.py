"""Tables and registries that ModelLedger did not create, as other writers leave them."""
