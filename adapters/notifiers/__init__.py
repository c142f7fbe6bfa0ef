"""Whom alerts are sent to: a webhook, Slack, PagerDuty. One module each, behind one small interface."""
