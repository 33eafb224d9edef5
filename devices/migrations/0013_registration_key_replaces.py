import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("devices", "0012_reported_names"),
    ]

    operations = [
        migrations.AddField(
            model_name="registrationkey",
            name="replaces",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="devices.device",
            ),
        ),
    ]
