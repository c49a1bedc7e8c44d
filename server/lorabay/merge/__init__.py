"""The code behind `lorabay merge`: any adapter folded into standalone weights, one block of one
tensor at a time.

`plan` says which tensor of the output comes from where, `shards` makes the files, `output` decides
when a folder may be seen, `command` puts them together. The arithmetic is NumPy's: neither torch
nor the whole model is ever in memory, except to verify the result and for formats that only PEFT's
own layers can merge.
"""
