"""From a run's store to the numbers people publish: `load`, `build`, `render`."""
