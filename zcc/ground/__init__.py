"""Shared ground of the applications. It imports none of them."""
