"""T-Eval: six abilities of a model that uses tools, each measured by itself."""
