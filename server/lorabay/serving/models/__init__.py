"""Whole models beside the adapters: each version has an engine of its own.

Does not know how a model is admitted or stored, nor what a request asks for.
"""
