"""The mocked chain: an in-memory implementation of the SDK's Substrate protocol."""
