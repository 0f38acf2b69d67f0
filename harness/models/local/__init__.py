"""Models that run in this process, and the servers on loopback that speak for oracles and recordings."""
