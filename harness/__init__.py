"""The AgentTuning harness: one tool for every benchmark of AgentTuning and Agent-FLAN."""
