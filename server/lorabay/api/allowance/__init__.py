"""What one request may use of its caller's limits: estimated, reserved, and settled once."""
