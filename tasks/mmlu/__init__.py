"""MMLU: 57 subjects of multiple-choice questions, ranked by likelihood (AgentTuning's general suite)."""
