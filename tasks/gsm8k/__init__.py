"""GSM8K: grade-school mathematics with eight worked examples (AgentTuning's general suite)."""
