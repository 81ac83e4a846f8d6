"""Decides when to tell the operator, and delivers the messages."""
