"""Multi-hop questions answered with a ReAct agent that searches Wikipedia."""
