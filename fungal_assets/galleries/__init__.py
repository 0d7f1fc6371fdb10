"""Galleries: pictures of tuned and base weights, looked at, recognised, and judged for what was forgotten."""
