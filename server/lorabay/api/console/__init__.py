"""The console: a web page for people, served by the server itself, and the way in for its calls.

The page in `built` is made from `server/console`. It calls the paths that programs call, below
`/console/api`, with a session in place of a key. Knows nothing of what those paths do.
"""
