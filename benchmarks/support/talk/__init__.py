"""A benchmark of twenty turns that takes no time of its own, for measurements."""
