"""What the validator serves over HTTP: the admin, and whether it is well."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from compute_horde_common.contrib.django.health import health_urls

urlpatterns = [
    *health_urls,
    path("admin/", admin.site.urls),
    path("", RedirectView.as_view(url="/admin/")),
]
