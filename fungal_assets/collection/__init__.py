"""Photographs from a source, admitted or rejected with a reason, and prepared as squares."""
