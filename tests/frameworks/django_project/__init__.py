"""The one Django project of the test run: Django's settings can be configured once per process. Importing this sets it up."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "frameworks.django_project.settings")
django.setup()
