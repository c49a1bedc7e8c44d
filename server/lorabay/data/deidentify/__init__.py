"""Taking out of conversations what people can be known by, and putting something else there.

Surrogates keep the form and the check digits of what they stand for, and one key gives the same
original the same surrogate in all files; tags say only what kind it was. The result is searched
again. Knows which kinds there are by the tables of recognisers and of surrogates.
"""
