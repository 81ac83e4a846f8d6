"""The caller's side: signed challenges to a miner, ours or another, and what their outcomes mean."""
