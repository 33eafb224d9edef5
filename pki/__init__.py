"""X.509 as pure functions of their arguments: no Django, no clock, no disk, no network."""
