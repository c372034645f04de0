"""Stores: where components keep what outlives a request. base.py has the protocols, one file each implementation."""
