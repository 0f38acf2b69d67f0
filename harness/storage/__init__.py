"""One run directory: what was planned, played and judged, and how it is written."""
