"""From the stored episodes of a run to files that other programs read."""
