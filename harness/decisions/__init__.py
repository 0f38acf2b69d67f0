"""Decides between runs: is one better than another, and did the model get worse since its baseline."""
