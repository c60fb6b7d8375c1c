"""Predictions waiting for, and judged by, delayed labels; pure numpy."""
