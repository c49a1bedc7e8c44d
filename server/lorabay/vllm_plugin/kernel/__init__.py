"""The row kernel: the updates of a batch on a CPU, compiled by numba."""
