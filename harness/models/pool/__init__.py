"""Which replica a request goes to, and what becomes of those that fail."""
