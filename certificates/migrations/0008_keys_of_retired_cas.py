"""Keys of CAs that were retired before: looked at by their server's worker as soon as it runs."""

from django.db import migrations


def add_ends(apps, schema_editor):
    retired = apps.get_model("certificates", "CertificateAuthority").objects.filter(
        kind="internal", state="retired", key_destroyed_at=None
    )
    # The worker finds out itself when the last certificate ends (certificates.key_ends).
    ends = apps.get_model("certificates", "KeyEnd").objects
    for pk, retired_at, created_at in retired.values_list("pk", "retired_at", "created_at"):
        ends.get_or_create(authority_id=pk, defaults={"due_at": retired_at or created_at})


class Migration(migrations.Migration):
    dependencies = [
        ("certificates", "0007_retirement"),
    ]

    operations = [
        migrations.RunPython(add_ends, migrations.RunPython.noop),
    ]
