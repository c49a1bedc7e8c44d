"""What callers may still use: reserved when a request comes, committed as the engine counted it."""
