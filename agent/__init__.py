"""
The device side: enrol, refresh, trust, stage, activate, serve.

Standard library only and Python 3.9 or later, because it runs on devices that have nothing else;
`satellite` alone needs the `cryptography` package.
"""

VERSION = "1.0.0"
