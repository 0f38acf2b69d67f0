"""Knowledge Graph: questions over Freebase, answered with seven tools."""
