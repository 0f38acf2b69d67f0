"""The Digital Card Game of AgentBench: a battle of four fish against four."""
