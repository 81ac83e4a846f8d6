"""Steering a running miner from another process of the same user, through a Unix-domain socket."""
