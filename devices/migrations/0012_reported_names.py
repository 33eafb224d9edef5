from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("devices", "0011_heard_by"),
    ]

    operations = [
        migrations.AddField(
            model_name="device",
            name="reported_dns_name",
            field=models.CharField(blank=True, db_default="", max_length=253),
        ),
        migrations.AddField(
            model_name="device",
            name="reported_addresses",
            field=models.JSONField(null=True),
        ),
    ]
