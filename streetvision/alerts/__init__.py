"""Decides when to tell the operator, and delivers the messages.

schedule.py decides when (pure), alerting.py takes each pass of the rules, sinks/ sends.
"""
