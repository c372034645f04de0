"""The components, one folder each, and STANDARD: the order that requests pass them in."""
