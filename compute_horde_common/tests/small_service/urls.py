"""Its pages."""

from django.contrib import admin
from django.urls import path

from compute_horde_common.contrib.django.health import health_urls
from compute_horde_common.contrib.django.receipt_pages import receipt_urls

urlpatterns = [*health_urls, *receipt_urls(), path("admin/", admin.site.urls)]
