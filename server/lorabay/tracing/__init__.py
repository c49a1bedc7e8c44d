"""Traces: one span of each request, and its way to a collector over OTLP."""
