"""The field guide: a static site over one growth, that opens from a folder and asks no other host.

Belongs here: showing what the other stages made. Making or measuring anything new does not.
"""
