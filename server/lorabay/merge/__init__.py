"""`lorabay merge`: folds an adapter of any format into standalone weights, block by block.

`run` is the whole way from the settings to a published folder. `job` is what is known before the
first byte, `plan` the tensors and files of the result, `shards` the making of those files, and
`output` decides when they may be seen. The arithmetic is NumPy's. Torch and the whole model are in
memory only to verify the result, and for formats that only PEFT's own layers can merge.
"""
