"""What retraining does in a process of its own (child.py); each file has a `run(request, tell, stop)`.

A request and a result are JSON values. `run` raises OperatorError with one sentence, or JobStopped when `stop` says so.
"""
