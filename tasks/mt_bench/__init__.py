"""MT-Bench: two-turn questions whose answers a judge rates from 1 to 10 (AgentTuning's general suite)."""
