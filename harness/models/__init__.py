"""Models: their endpoints and the pool of these, and the loopback servers that replace a model."""
