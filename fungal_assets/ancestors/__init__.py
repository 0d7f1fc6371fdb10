"""The roads that the artist began on, beside the main one."""
