"""Experiments on the stores: what people and guardrails do with them, their plans and their results."""
