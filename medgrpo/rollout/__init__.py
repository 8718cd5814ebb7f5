"""Sampling answers from the policy, and the store of every answer with all of its numbers."""
