"""Mind2Web: one step on a recorded web page, as AgentTuning evaluates it (held-in suite)."""
