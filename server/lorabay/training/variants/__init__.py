"""Ways to train: one module each, behind one protocol, in one table.

Knows PEFT and torch; knows nothing of data, batches and schedules.
"""
