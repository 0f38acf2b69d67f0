"""WebShop: find and buy a product by an instruction (AgentTuning held-in)."""
