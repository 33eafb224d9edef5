import django.db.models.deletion
import django.db.models.functions.text
from django.db import migrations, models

# As devices.models has them.
ROOT_OF = {
    "primary": "/Servers",
    "server": "/Servers",
    "workstation": "/Workstations",
    "mobile": "/Mobile Devices",
}
LONGEST_PATH = 120


def put_below_the_three(apps, schema_editor):
    """Have a row for each folder that a device or a key names, below one of the three."""
    device_model = apps.get_model("devices", "Device")
    placed = device_model.objects.exclude(folder="/").order_by()
    for zone, folder, kind in list(placed.values_list("zone", "folder", "kind").distinct()):
        root = ROOT_OF[kind]
        path = folder if f"{folder}/".startswith(f"{root}/") else f"{root}{folder}"[:LONGEST_PATH]
        path = "/" if path == root else make(apps, zone, path)
        placed.filter(zone=zone, folder=folder, kind=kind).update(folder=path)


def make(apps, zone, path):
    """Make the folder and those that it is in; return it as it is spelled there."""
    if path in ROOT_OF.values():
        return path
    folders = apps.get_model("devices", "Folder").objects.filter(zone=zone)
    if known := folders.filter(path__iexact=path).first():
        return known.path
    parent, _, name = path.rpartition("/")
    return folders.create(zone_id=zone, path=f"{make(apps, zone, parent)}/{name}").path


class Migration(migrations.Migration):
    dependencies = [
        ("devices", "0005_refused"),
    ]

    operations = [
        migrations.CreateModel(
            name="Folder",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("path", models.CharField(max_length=120)),
                ("refresh_interval", models.DurationField(null=True)),
                (
                    "zone",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="folders",
                        to="devices.zone",
                    ),
                ),
            ],
            options={
                "ordering": ["path"],
                "constraints": [
                    models.UniqueConstraint(
                        models.F("zone"),
                        django.db.models.functions.text.Lower("path"),
                        name="folder_once",
                    )
                ],
            },
        ),
        # The lists of the console are of all devices: an index that begins with the zone is no use.
        migrations.RemoveIndex(model_name="device", name="device_by_name"),
        migrations.AddIndex(
            model_name="device",
            index=models.Index(fields=["name", "id"], name="device_by_name"),
        ),
        migrations.AddIndex(
            model_name="device",
            index=models.Index(fields=["folder", "kind", "name"], name="device_by_folder"),
        ),
        migrations.AddField(
            model_name="device",
            name="reported_roles",
            field=models.JSONField(null=True),
        ),
        migrations.AddField(
            model_name="device",
            name="role_problem",
            field=models.CharField(blank=True, db_default="", max_length=400),
        ),
        migrations.RunPython(put_below_the_three, migrations.RunPython.noop, elidable=True),
    ]
