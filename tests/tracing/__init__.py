"""Tests of traces, on a collector of their own."""
