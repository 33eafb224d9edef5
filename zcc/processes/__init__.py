"""One module for each kind of process that the supervisor starts, and what they share."""
