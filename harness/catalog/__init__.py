"""Which tasks, suites and models exist."""
