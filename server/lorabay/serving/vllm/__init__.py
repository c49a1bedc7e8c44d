"""vLLM behind the `Engine` protocol: its options, its life, and its answers in our terms.

The only room but the plugin that imports vLLM. Knows nothing of folders, names or HTTP.
"""
