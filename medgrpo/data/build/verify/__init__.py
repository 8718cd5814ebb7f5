"""Verification of drafted questions and written texts: what is wrong is set aside with its reason."""
