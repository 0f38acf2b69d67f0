"""Agent-H style: does a model act as an agent where a plain answer is wanted (Agent-FLAN's hallucination)?"""
