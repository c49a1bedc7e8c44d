"""`lorabay merge`: folds an adapter of any format into standalone weights, block by block.

`run` leads from the settings to a published folder. `job` holds everything that is known before the
first byte, and `plan` the tensors and files of the result. `shards` writes the files, and `output`
decides when they may be seen. The arithmetic is NumPy's. Torch and the whole model are in memory
only to verify the result, and for formats that only PEFT's own layers can merge.
"""
