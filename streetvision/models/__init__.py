"""The network, its head and its checkpoint on disk."""
