"""One client for each protocol that servers speak."""
