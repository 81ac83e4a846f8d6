"""Which model serves: swap, shadow, canary, promotion and rollback, decided by gates and written down."""
