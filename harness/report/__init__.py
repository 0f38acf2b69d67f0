"""From a run's store to publishable numbers: `load`, `build`, `render`."""
