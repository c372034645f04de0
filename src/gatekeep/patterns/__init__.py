"""Patterns: regular expressions of ECMA-262 that take time linear in the text, for whoever matches what a client sends."""

from .automaton import Pattern, Steps, TooManySteps, compiled, steps

__all__ = ["Pattern", "Steps", "TooManySteps", "compiled", "steps"]
