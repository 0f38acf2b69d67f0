"""Seven small sites on loopback that stand in for WebArena's, so that tasks run here without them."""
