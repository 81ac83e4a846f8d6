"""Who may ask, until when, and how the answer travels: the only room that knows HTTP."""
