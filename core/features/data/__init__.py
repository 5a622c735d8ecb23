"""Tables: browse, ingest, export."""
