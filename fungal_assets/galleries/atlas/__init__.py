"""Where in a model pictures of several sizes part ways: measured step by step and block by block, drawn, and told."""

FLOOR = "other seeds"
"""What other sizes are held against: pictures of the native size from other noise."""
