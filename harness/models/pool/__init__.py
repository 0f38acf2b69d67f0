"""Spreads requests over a model's endpoints, retries those that fail, and watches the endpoints' health."""
