"""The benchmarks, one folder each; only the registry's entry points import them."""
