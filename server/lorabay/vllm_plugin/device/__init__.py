"""What only runs where vLLM computes on a GPU: DoRA's kernel, and graphs by counts of adapters."""
