"""Starts a worker: `python -m harness.worker MODULE`."""

from harness.worker.child import main

main()
