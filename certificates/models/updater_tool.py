"""The Certificate Updater Tool of an operation, as its signing server has signed it."""

from django.db import models

from certificates.models.operation import Operation


class UpdaterTool(models.Model):
    """
    The signed package in the tool, and the SHA-256 of the whole file.

    Every server builds the file itself, from its agent and this package: the same bytes. `digest`
    is that of what the package says; when it should say something else, it is signed anew.
    """

    operation = models.OneToOneField(Operation, models.CASCADE, related_name="updater_tool")
    envelope = models.TextField()
    digest = models.CharField(max_length=64)
    sha256 = models.CharField(max_length=64)
    size = models.PositiveIntegerField()
    made_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"#{self.pk} of {self.operation_id}"

    @property
    def file_name(self) -> str:
        return f"crt-{self.operation.created_at:%Y-%m-%d-%H%M}.pyz"
