"""A key on its way from one Primary Server's home to another's, readable by that one alone."""

import uuid

from django.db import models

from devices.models import Device, Zone
from zcc.ground.claims import Claimable


class SealedTransfer(Claimable):
    """
    The receiver asks, the sender seals to the receiver's vouched key, and the receiver opens and
    deletes the row (certificates.sealed_transfer).
    """

    zone = models.ForeignKey(Zone, models.PROTECT, related_name="+")
    # What it is asked for: an operation's id.
    guid = models.UUIDField(default=uuid.uuid4, unique=True)
    sender = models.ForeignKey(Device, models.PROTECT, related_name="+")
    receiver = models.ForeignKey(Device, models.PROTECT, related_name="+")
    sealed = models.BinaryField(null=True)
    retry_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"#{self.pk} from {self.sender_id} to {self.receiver_id}"
