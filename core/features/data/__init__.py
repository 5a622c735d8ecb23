"""Tables: browse, ingest and export their rows."""
