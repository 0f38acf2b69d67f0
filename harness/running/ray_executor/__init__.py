"""Plays a run on the nodes of a Ray cluster; the command itself keeps plan, store and report."""
