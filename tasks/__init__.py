"""The benchmarks, one folder each; nobody imports them but the registry's entry points."""
