"""When and how the operator is told.

schedule.py decides when (pure), alerting.py takes each pass of the rules, sinks/ sends.
"""
