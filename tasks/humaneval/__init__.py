"""HumanEval: 164 Python functions to complete, run in a sandbox."""
