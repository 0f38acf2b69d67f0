"""OS interaction (AgentBench): answer questions about a Linux system, or change it, through bash."""
