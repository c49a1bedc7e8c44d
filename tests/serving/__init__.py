"""Tests of the ring that speaks to vLLM; none of them starts an engine."""
