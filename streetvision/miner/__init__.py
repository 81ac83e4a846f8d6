"""The process and the composition root."""
