"""The moment that the pages show: chosen in the sidebar, kept in the address and through the navigation."""
