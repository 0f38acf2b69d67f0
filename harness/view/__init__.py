"""Shows stored runs as web pages, served on this machine or written to a folder; only ever reads the runs."""
