"""ALFWorld: household games in text, as AgentTuning evaluates them (held-in suite)."""
