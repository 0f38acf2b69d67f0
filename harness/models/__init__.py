"""The model side: endpoints, their pool, and the loopback servers that stand in for a model."""
