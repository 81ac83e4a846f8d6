"""Errors an operator can act on."""


class OperatorError(Exception):
    """A failure whose message is one sentence that says what is wrong and what to do; never shown with a traceback."""


class ConfigError(OperatorError):
    """A setting is missing, malformed or contradicts another."""
