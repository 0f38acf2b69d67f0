"""What is missing, with its fix."""
