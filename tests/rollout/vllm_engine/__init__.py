"""Tests that share one running vLLM engine a family."""
