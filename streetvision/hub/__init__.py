"""Hugging Face: pull, publish, card and what the public sees."""
