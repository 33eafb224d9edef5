"""The addresses of the console. All need a signed-in user, unless the view says otherwise."""

from django.contrib.auth import views as auth_views
from django.urls import include, path

from zcc import views
from zcc.health import health

urlpatterns = [
    path("", views.home, name="home"),
    path("appearance/", views.appearance, name="appearance"),
    path("health", health, name="health"),
    path("login/", auth_views.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", auth_views.LogoutView.as_view(), name="logout"),
    path("", include(("devices.urls", "devices"))),
    path("", include(("systemupdates.urls", "systemupdates"))),
    path("", include(("certificates.urls", "certificates"))),
]
