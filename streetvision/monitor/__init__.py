"""What the operator should know: standing in the metagraph, and what changed.

history.py remembers, observation.py gathers one moment, rules/ judge it (pure), diagnosis.py explains.
"""
