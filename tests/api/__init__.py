"""Tests of the HTTP side, over the real application and a fake engine."""
