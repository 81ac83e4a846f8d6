"""Retraining: from the miner's new labels to a better model that serves, by night, with gates and a way back."""
