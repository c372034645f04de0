"""The demo: one small orders API as FastAPI, Flask and Django, each behind the same gateway. Run it with `make demo`."""
