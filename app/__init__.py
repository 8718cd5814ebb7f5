"""The dashboard: look at what a model in training answers, and why each answer got its reward.

It reads the rollout store, never writes to it, and talks to nobody but the browser on this machine.
"""
