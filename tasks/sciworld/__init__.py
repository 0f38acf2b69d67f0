"""SciWorld: ScienceWorld's thirty science tasks on its own simulator, as AgentTuning evaluated them."""
