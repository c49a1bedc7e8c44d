"""Slots in a GPU's own memory: an adapter reaches them as one block, beside the steps.

vLLM clears and copies every matrix of an adapter by itself, on the loop that starts steps: about
900 operations for 32 layers, while no stream gets a token. Here the staging thread lays an adapter
out as one block in pinned memory (`adapter_blocks`, `host_arena`), cut for this rank by vLLM's own
layers (`slot_stacks`). Giving it a slot is then one copy and a few operations (`slot_writer`) on a
stream of their own (`timelines`). What depends on the device is in `timelines` alone: the rest
runs, and is tested, on a CPU.
"""
