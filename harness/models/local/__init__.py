"""Models that run in this process, and the loopback servers that answer from oracles and recordings."""
