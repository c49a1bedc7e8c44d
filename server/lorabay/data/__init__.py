"""Instruction data: reading what a company has, cleaning it, finding duplicates, splitting it.

One instruction format comes out, and a list of every row that was removed or changed, with the
reason. The same input gives the same bytes, and what came out goes in again without a change. Knows
nothing of models but a base's chat template. The libraries of the extra `forge` are imported by the
modules that use them, when they do.
"""
