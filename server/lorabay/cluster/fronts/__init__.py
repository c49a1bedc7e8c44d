"""Several servers in front of one set of names: one of them keeps the names, the others follow.

What a name means changes in three steps. The keeper changes it, and lets requests for it wait.
Every other server takes the change over, lets requests wait as well, and says so. When all have
said so, the keeper settles the change, and requests go on. So no client meets a server that still
means the former version after one that means the new one.
"""
