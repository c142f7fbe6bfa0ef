"""The KPI report as files: a page, a picture."""
