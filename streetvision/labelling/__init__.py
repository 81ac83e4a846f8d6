"""Labels by a larger model: what is asked of it, what it costs, how far it is believed."""
