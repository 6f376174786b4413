"""What an object's status says, and when it is written. Pure."""
