"""A key on its way from one Primary Server's home to another's, readable by that one alone."""

import uuid

from django.db import models

from devices.models import Device, Zone
from zcc.ground.claims import Claimable


class SealedTransfer(Claimable):
    """
    The receiver asks, the sender seals, the receiver opens and deletes the row.

    `public` is an X25519 key made for this once; `signature` is over it, by the key of the server
    certificate in `chain`, which the sender checks against the active CA: whoever can write this
    table gets no key by it.
    """

    zone = models.ForeignKey(Zone, models.PROTECT, related_name="+")
    # What it is asked for: an operation's id.
    guid = models.UUIDField(default=uuid.uuid4, unique=True)
    sender = models.ForeignKey(Device, models.PROTECT, related_name="+")
    receiver = models.ForeignKey(Device, models.PROTECT, related_name="+")
    public = models.BinaryField()
    signature = models.BinaryField()
    chain = models.TextField()
    sealed = models.BinaryField(null=True)
    retry_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"#{self.pk} from {self.sender_id} to {self.receiver_id}"
