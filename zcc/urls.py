"""The addresses of the console. All need a signed-in user, unless the view says otherwise."""

from django.urls import include, path

from certificates.devices_at_risk import rows_at_risk
from systemupdates.further import ONLY, Further
from zcc import views
from zcc.health import health
from zcc.sign_in import SignIn, SignOut

ONLY["at_risk"] = Further("At risk", rows_at_risk)

urlpatterns = [
    path("", views.home, name="home"),
    path("appearance/", views.appearance, name="appearance"),
    path("audit-log/", views.audit_log, name="audit_log"),
    path("health", health, name="health"),
    path("login/", SignIn.as_view(), name="login"),
    path("logout/", SignOut.as_view(), name="logout"),
    path("", include(("devices.urls", "devices"))),
    path("", include(("systemupdates.urls", "systemupdates"))),
    path("", include(("certificates.urls", "certificates"))),
]
