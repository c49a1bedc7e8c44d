"""The search for fast configurations of vLLM's LoRA kernels: shapes, search, files.

Knows no device: what times a kernel is handed in.
"""
