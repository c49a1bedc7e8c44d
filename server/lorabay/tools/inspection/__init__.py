"""What an adapter is and does, alone or beside another one, without a server."""
