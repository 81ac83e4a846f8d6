"""Which model serves: swap, shadow, canary, promotion and rollback, decided by gates and written down.

manager.py is what operators call; the steps of a swap stand in transitions.py, the switch between lanes in
engine/engine.py (`prepare`, `activate`, `retire`), what ends a trial in gates.py and autopilot.py.
"""
