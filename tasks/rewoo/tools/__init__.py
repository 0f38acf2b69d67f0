"""The tools a plan can call: each live, recorded, or replaced by a fallback that has a name."""
