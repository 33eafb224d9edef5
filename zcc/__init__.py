"""The wiring of the product. The Celery app is made here, so that whoever sends a task finds it."""

from zcc.celery import app as celery_app

__all__ = ["celery_app"]
